"""The pipeline on Apache Airflow: a DAG with a task for every component.

TFX's own AirflowDagRunner is not used, for three reasons. It builds the DAG out of component objects, so that every
parse of the dags folder imports TFX: 10 to 25 seconds of one core, every 30 seconds, against a limit of 30. It goes
through TFX's old launcher, which none of the other runners here use. And it freezes paths and the database's password
into the tasks when the file is parsed. Here a parse reads the config and three Variables, in under half a second; TFX
is imported by the task that runs a component, and the component goes through the same launcher, the same graph and the
same cache as `tintype run`.

What an installation sets are Airflow Variables, which Airflow also takes from the environment: `tintype_data` is
`AIRFLOW_VAR_TINTYPE_DATA`. docs/airflow.md lists them.
"""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging as absl_logging

from photo.errors import TintypeError
from photo.whole_file import write_whole
from pipeline.config import ConfigError, load_config
from pipeline.output_folder import check_shared_folder
from pipeline.runners.component_run import run_component
from pipeline.runners.local import CHECKPOINTS, is_from_tintype
from pipeline.runners.metadata_connection import metadata_of_installation

if TYPE_CHECKING:
    from airflow import DAG

# The edges of pipeline/graph.py, which cannot be imported without TFX; a test holds the two together.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "ImageExampleGen": (),
    "ImportSchemaGen": (),
    "StatisticsGen": ("ImageExampleGen", "ImportSchemaGen"),
    "ExampleValidator": ("StatisticsGen", "ImportSchemaGen"),
    "DataGate": ("ImageExampleGen", "ExampleValidator"),
    "Trainer": ("ImageExampleGen", "DataGate"),
    "Evaluator": ("ImageExampleGen", "Trainer"),
    "Canary": ("ImageExampleGen", "Trainer", "Evaluator"),
    "Pusher": ("ImageExampleGen", "Trainer", "Evaluator", "Canary"),
}

RETRIES = 2
RETRY_DELAY_MINUTES = 5.0


def create_dag(
    config: str | Path = "tintype_lab",
    settings: Sequence[str] = (),
    *,
    dag_id: str | None = None,
    variables: str = "tintype",
    default_args: dict[str, Any] | None = None,
) -> "DAG":
    """The DAG for a file in Airflow's dags folder; the file must keep it in a global variable.

    Example, the whole file:

        from pipeline.runners.airflow import create_dag

        dag = create_dag("tintype_lab", ["train.steps=2000"])

    Args:
        config: a recipe's name, or the path of a YAML file that every worker can read.
        settings: fields of the config, as `train.steps=2000`.
        dag_id: its name in Airflow; `tintype-<recipe>` when None.
        variables: what the names of the Variables begin with; two DAGs on other data take two prefixes.
        default_args: passed on to every task, such as `on_failure_callback` or `execution_timeout`.

    Raises:
        ConfigError: a config or a Variable cannot be used; Airflow shows the message as the file's import error.
    """
    from airflow import DAG
    from airflow.operators.python import PythonOperator

    run_config = load_config(config, list(settings))
    schedule, retries, retry_delay = _parse_time_variables(variables)
    dag = DAG(
        dag_id or f"tintype-{run_config.recipe}",
        description=f"Photographs to a served model: {run_config.recipe}",
        schedule=schedule,
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
        catchup=False,
        # Runs share checkpoints, and the newer of two must be pushed last. Tasks hardly ever could overlap, and SQLite
        # knows one writer.
        max_active_runs=1,
        max_active_tasks=1,
        default_args={"retries": retries, "retry_delay": retry_delay, **(default_args or {})},
        params=_run_parameters(variables),
        tags=["tintype"],
        doc_md=f"`{config}` {' '.join(settings)}",
    )
    given = {"config": str(config), "settings": list(settings), "variables": variables, **_templates(variables)}
    tasks = {
        component: PythonOperator(
            task_id=component, dag=dag, python_callable=_run_task, op_kwargs={"component": component, **given}
        )
        for component in COMPONENTS
    }
    for component, upstream in COMPONENTS.items():
        tasks[component].set_upstream([tasks[name] for name in upstream])
    return dag


def write_dag_file(output: Path, config: str = "tintype_lab", settings: Sequence[str] = ()) -> None:
    """Write the file for the dags folder; a config that is a YAML file is copied beside it, under the same name.

    Args:
        output: the Python file to write.
        config: a recipe's name or the path of a YAML file.
        settings: fields of the config, as `train.steps=2000`.

    Raises:
        ConfigError: the config cannot be used, or `output` is no name of a Python file.
        TintypeError: the file cannot be written.
    """
    if output.suffix != ".py":
        raise ConfigError(f"a DAG is a Python file: expected a name that ends in .py, got {output}")
    load_config(config, list(settings))
    argument, imports = json.dumps(config, ensure_ascii=False), ""
    if Path(config).is_file():
        write_whole(output.with_suffix(".yaml"), Path(config).read_bytes())
        argument, imports = 'Path(__file__).with_suffix(".yaml")', "from pathlib import Path\n\n"
    call = (
        f"create_dag({argument}, {json.dumps(list(settings), ensure_ascii=False)})"
        if settings
        else f"create_dag({argument})"
    )
    write_whole(
        output,
        f'"""Tintype\'s pipeline as an Airflow DAG."""\n\n{imports}'
        f"from pipeline.runners.airflow import create_dag\n\ndag = {call}\n",
    )


def preload() -> None:
    """Import all that the tasks need, so that tasks forked from this process need not.

    For the processes that Airflow forks its tasks from; docs/airflow.md shows where to call it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tfx.orchestration.portable.launcher  # noqa: F401

    import pipeline.graph  # noqa: F401


def _run_parameters(variables: str) -> dict[str, Any]:
    """What a run may be given when it is triggered."""
    from airflow.models.param import Param

    return {
        "data": Param("", type="string", description=f"Photographs, in place of {variables}_data."),
        "settings": Param(
            [], type="array", items={"type": "string"}, description="Fields of the config, as train.steps=500."
        ),
        "use_cache": Param(True, type="boolean", description="Reuse the results of steps that nothing changed for."),
    }


def _templates(variables: str) -> dict[str, str]:
    """What Airflow fills in when a task runs: a changed Variable counts at once."""
    names = ("output", "serving", "metadata", "workers")
    templates = {name: f"{{{{ var.value.get('{variables}_{name}', '') }}}}" for name in names}
    return {"data": f"{{{{ params.data or var.value.get('{variables}_data', '') }}}}", **templates}


def _run_task(
    component: str,
    config: str,
    settings: list[str],
    variables: str,
    data: str,
    output: str,
    serving: str,
    metadata: str,
    workers: str,
    params: dict[str, Any],
    dag: "DAG",
    run_id: str,
) -> dict[str, Any]:
    """What a task of the DAG does; Airflow fills in the last three arguments, and the templates of those before."""
    from airflow.exceptions import AirflowFailException, AirflowSkipException

    try:
        run_config = load_config(config, [*settings, *params["settings"]])
        _require_place(f"{variables}_data", data)
        _require_place(f"{variables}_output", output)
        check_shared_folder(output)
        folder = f"{output.rstrip('/')}/{dag.dag_id}"
        connection = metadata_of_installation(metadata, folder)
        processes = _whole_number(f"{variables}_workers", workers or "1")
    except TintypeError as error:
        raise AirflowFailException(str(error)) from None  # what is set wrong does not mend itself by trying again

    preload()
    _keep_log_readable()
    from components.data_gate.executor import DataStopped
    from pipeline.graph import default_destination

    if serving and not run_config.push.destination:
        destination = f"{serving.rstrip('/')}/{run_config.model_name}"
    else:
        destination = default_destination(run_config, folder)
    try:
        result = run_component(
            component,
            run_config,
            run=f"{dag.dag_id}.{run_id}",
            data=data,
            output=folder,
            destination=destination,
            connection=connection,
            workers=processes,
            use_cache=params["use_cache"],
        )
    except DataStopped as error:
        raise AirflowFailException(str(error)) from None  # the same data would be stopped again
    if component == "Trainer":
        _remove_checkpoints(folder)
    if component == "Pusher" and result["pushed"] is None:
        raise AirflowSkipException(
            "not pushed: the Evaluator or the Canary has not blessed the model; their logs say why"
        )
    return result


def _parse_time_variables(variables: str) -> tuple[str | None, int, timedelta]:
    """Schedule, retries and the time between them: the only Variables that the DAG itself depends on."""
    from airflow.models import Variable

    schedule = Variable.get(f"{variables}_schedule", default_var="") or None
    retries = _whole_number(
        f"{variables}_retries", Variable.get(f"{variables}_retries", default_var="") or str(RETRIES)
    )
    name = f"{variables}_retry_delay"
    minutes = _number(name, Variable.get(name, default_var="") or str(RETRY_DELAY_MINUTES), float, "a number")
    return schedule, retries, timedelta(minutes=minutes)


def _whole_number(variable: str, value: str) -> int:
    return int(_number(variable, value, int, "a whole number"))


def _number(variable: str, value: str, kind: type[int] | type[float], wanted: str) -> float:
    try:
        number = kind(value)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise ConfigError(f"the Airflow Variable {variable} must be {wanted}, 0 or more; got {value!r}")
    return number


def _require_place(variable: str, place: str) -> None:
    """Refuse what means another folder in each process, or nothing at all."""
    if not place:
        raise ConfigError(f"set the Airflow Variable {variable}, or AIRFLOW_VAR_{variable.upper()} in the environment")
    if not place.startswith("/") and "://" not in place:
        raise ConfigError(f"the Airflow Variable {variable} must be an absolute path or a URL; got {place!r}")


def _remove_checkpoints(folder: str) -> None:
    """Once the model is in the artifacts nothing can be lost."""
    if "://" not in folder:
        shutil.rmtree(f"{folder}/{CHECKPOINTS}", ignore_errors=True)


def _keep_log_readable() -> None:
    """Let into the task's log what Tintype's components say, and of TFX, which tells all it does, errors."""
    absl_logging.set_verbosity(absl_logging.INFO)
    logging.getLogger("absl").addFilter(_is_shown)


def _is_shown(record: logging.LogRecord) -> bool:
    return is_from_tintype(record) or record.levelno >= logging.ERROR
