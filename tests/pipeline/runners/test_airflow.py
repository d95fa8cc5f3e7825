"""The DAG as Airflow sees it: found in a dags folder without TFX, a task for every component, errors that explain."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import ConfigError, load_config
from pipeline.runners.airflow import COMPONENTS, write_dag_file

ROOT = Path(__file__).parents[3]

# Airflow writes its configuration into AIRFLOW_HOME and takes the logging over: it gets a process of its own.
PROBE = """
import json, os, sys
from airflow.exceptions import AirflowFailException
from airflow.models import DagBag
from pipeline.runners.metadata_connection import metadata_of_installation

before = set(sys.modules)
bag = DagBag(sys.argv[1], include_examples=False)
loaded = set(sys.modules) - before
heavy = [name for name in ("tensorflow", "tfx", "apache_beam") if name in sys.modules]
dag = bag.dags["tintype-demo"]

def refusal(component="Trainer", settings=(), **given):
    task = dag.get_task(component)
    arguments = task.op_kwargs | {"data": "/d", "output": "/o", "serving": "", "metadata": "", "workers": ""} | given
    params = {"settings": list(settings), "use_cache": True}
    try:
        task.python_callable(**arguments, params=params, dag=dag, run_id="r")
    except AirflowFailException as error:
        return str(error)

print(json.dumps({
    "loaded": len(loaded),
    "heavy": heavy,
    "dags": sorted(bag.dags),
    "import_errors": {os.path.basename(path): text for path, text in bag.import_errors.items()},
    "upstream": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
    "schedule": dag.schedule_interval,
    "retries": [task.retries for task in dag.tasks],
    "delays": [task.retry_delay.total_seconds() for task in dag.tasks],
    "templates": dag.get_task("Trainer").op_kwargs,
    "refusals": [
        refusal(data=""),
        refusal(output="runs"),
        refusal(output="/runs [1971]"),
        refusal(workers="many"),
        refusal(settings=["train.stepz=3"]),
        refusal(metadata="nowhere"),
        refusal(metadata="mysql://user:geheim@host/mlmd"),
    ],
    "connection": str(metadata_of_installation("mlmd_db", "")),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict:
    """What Airflow makes of a dags folder with a good file and two bad ones."""
    folder = tmp_path_factory.mktemp("airflow")
    own = folder / "own.yaml"
    own.write_text((ROOT / "pipeline" / "configs" / "demo.yaml").read_text())
    write_dag_file(folder / "dags" / "tintype.py", str(own), ["train.steps=7"])
    own.unlink()
    good = "from pipeline.runners.airflow import create_dag\n\ndag = "
    (folder / "dags" / "unknown.py").write_text(f'{good}create_dag("airbrush", dag_id="a")\n')
    (folder / "dags" / "retries.py").write_text(f'{good}create_dag("demo", dag_id="b", variables="other")\n')
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW_VAR_TINTYPE_SCHEDULE": "@weekly",
        "AIRFLOW_VAR_TINTYPE_RETRIES": "4",
        "AIRFLOW_VAR_TINTYPE_RETRY_DELAY": "0.5",
        "AIRFLOW_VAR_OTHER_SCHEDULE": "@weekly",
        "AIRFLOW_VAR_OTHER_RETRIES": "several",
        "AIRFLOW_CONN_MLMD_DB": "mysql://user:geheim@host:3307/mlmd?ssl_ca=%2Fca.pem",
    }
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, str(folder / "dags")], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert probe.returncode == 0, probe.stderr
    return json.loads(probe.stdout.splitlines()[-1])


@pytest.mark.airflow
def test_a_task_for_every_component_in_the_order_of_the_graph(seen):
    from pipeline.graph import create_pipeline

    pipeline = create_pipeline(load_config("demo"), data="/d", destination="/s", pipeline_root="/r")
    graph = {component.id: sorted(node.id for node in component.upstream_nodes) for component in pipeline.components}
    assert {component: sorted(upstream) for component, upstream in COMPONENTS.items()} == graph
    assert seen["upstream"] == graph


@pytest.mark.airflow
def test_a_parse_is_light_and_imports_nothing_of_tfx(seen):
    assert seen["heavy"] == []
    assert seen["loaded"] < 700
    assert seen["dags"] == ["tintype-demo"]


@pytest.mark.airflow
def test_variables_set_schedule_and_retries_at_once_and_places_when_a_task_runs(seen):
    assert seen["schedule"] == "@weekly"
    assert set(seen["retries"]) == {4}
    assert set(seen["delays"]) == {30}
    assert "params.data or var.value.get('tintype_data'" in seen["templates"]["data"]
    assert "var.value.get('tintype_output'" in seen["templates"]["output"]
    assert seen["templates"]["settings"] == ["train.steps=7"]


@pytest.mark.airflow
def test_a_wrong_file_is_an_import_error_that_says_what_is_wrong(seen):
    assert set(seen["import_errors"]) == {"unknown.py", "retries.py"}
    assert "no config airbrush" in seen["import_errors"]["unknown.py"]
    assert "other_retries must be a whole number, 0 or more; got 'several'" in seen["import_errors"]["retries.py"]


@pytest.mark.airflow
def test_a_wrong_setting_fails_the_task_for_good_and_names_it(seen):
    expected = [
        "AIRFLOW_VAR_TINTYPE_DATA",
        "tintype_output must be an absolute path or a URL; got 'runs'",
        "/runs [1971] holds one of",
        "tintype_workers must be a whole number, 0 or more; got 'many'",
        "train.stepz: no such field",
        "an Airflow Connection's id; got 'nowhere'",
        "must hold no password",
    ]
    for refusal, message in zip(seen["refusals"], expected, strict=True):
        assert message in refusal
        assert "geheim" not in refusal


@pytest.mark.airflow
def test_metadata_may_be_an_airflow_connection(seen):
    for part in ('host: "host"', "port: 3307", 'password: "geheim"', 'database: "mlmd"', 'ca: "/ca.pem"'):
        assert part in seen["connection"]


def test_the_file_for_the_dags_folder_is_python_and_of_a_config_that_loads(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.stepz"):
        write_dag_file(tmp_path / "dag.py", "demo", ["train.stepz=7"])
    with pytest.raises(ConfigError, match=r"ends in \.py"):
        write_dag_file(tmp_path / "dag.yaml", "demo")
    assert list(tmp_path.iterdir()) == []
    write_dag_file(tmp_path / "dag.py", "demo", ['recipe="a"'])
    assert r'"recipe=\"a\""' in (tmp_path / "dag.py").read_text()
    compile((tmp_path / "dag.py").read_text(), "dag.py", "exec")
