"""The pipeline on a real Airflow: a scheduler finds the DAG in its dags folder and runs it, three times.

One scheduler serves all tests, and forks its tasks with TFX loaded (`preload`, as docs/airflow.md has it): if each of a
run's nine tasks imported TFX, every run would take minutes longer. The executor that forks is the LocalExecutor.
Airflow refuses it on SQLite because of tasks that run at once; here it gets one at a time, so that the refusal is
turned off, and no database server is needed.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.runners.airflow import COMPONENTS
from tintype.demo.scenes import write_collection

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DAG = "tintype-demo"
SETTINGS = (
    "data.size=32",
    # Small, for it is traced twice; what it learns is not asked here.
    "network.generator.down_filters=[16,32,32]",
    "network.generator.up_filters=[32,32]",
    "network.discriminator.down_filters=[16]",
    "network.discriminator.flat_filters=[16]",
    "train.steps=300",
    "train.batch_size=8",
    "train.checkpoint_every=50",
    "train.picture_every=300",
    "evaluate.min_psnr_gain_db=-30",
    "evaluate.max_ab_mae_ratio=9",
    "evaluate.grid_rows=1",
    "canary.requests=2",
)
# What docs/airflow.md tells to write.
LOCAL_SETTINGS = """
import sys

if "scheduler" in sys.argv or "worker" in sys.argv:
    from pipeline.runners.airflow import preload

    preload()
"""


class Airflow:
    """An installation in a folder of its own, and what its database says."""

    def __init__(self, home: Path, variables: dict[str, str]):
        self.home = home
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            **{f"AIRFLOW_VAR_TINTYPE_{name}": value for name, value in variables.items()},
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "1",
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            # Both a task that ended and the scheduler would note the next one; SQLite has no locks to keep them apart.
            "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        }
        (home / "config").mkdir()
        (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)

    def call(self, *arguments: str) -> None:
        """Run an `airflow` command."""
        done = subprocess.run(
            [BIN / "airflow", *arguments], env=self.environment, cwd=self.home, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def scheduler(self):
        """A scheduler, ended with all that it started."""
        with open(self.home / "scheduler.log", "wb") as log:
            process = subprocess.Popen(
                [BIN / "airflow", "scheduler", "--skip-serve-logs"],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield
        finally:
            for ending in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, ending)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)

    def ask(self, query: str, *values: str) -> list[tuple]:
        """Read Airflow's database, without the seconds that each of its own commands takes to start."""
        with contextlib.closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()

    def wait_for(self, what: str, condition: Callable, seconds: float = 400):
        """Poll until `condition` returns something true, which is returned."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"{what} did not happen:\n{self.logs()[-6000:]}"
            time.sleep(0.1)
        return found

    def wait_for_run(self, run: str) -> str:
        """The state that a run ended in."""
        query = "SELECT state FROM dag_run WHERE run_id = ? AND state IN ('success', 'failed')"
        return self.wait_for(f"the end of {run}", lambda: self.ask(query, run))[0][0]

    def tasks(self, run: str) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of a run."""
        query = "SELECT task_id, state, try_number FROM task_instance WHERE run_id = ?"
        return {task: (state, tries) for task, state, tries in self.ask(query, run)}

    def logs(self, pattern: str = "**/attempt=*.log") -> str:
        """What tasks logged; the newest last."""
        files = sorted(self.home.glob(f"logs/{pattern}"), key=lambda path: path.stat().st_mtime)
        return "\n".join(path.read_text() for path in files)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    write_collection(home / "photographs", 48, side=64)
    write_collection(home / "one_photograph", 1, first_seed=900, side=64)
    compile_dag = [BIN / "tintype", "compile", "airflow", "--config", "demo", "-o", home / "dags" / "tintype.py"]
    subprocess.run([*compile_dag, *(f"--set={setting}" for setting in SETTINGS)], check=True, capture_output=True)
    variables = {
        "DATA": str(home / "photographs"),
        "OUTPUT": str(home / "runs"),
        "SERVING": str(home / "serving"),
        "SCHEDULE": "@once",
        "RETRIES": "1",
        "RETRY_DELAY": "0",
    }
    installation = Airflow(home, variables)
    installation.call("db", "migrate")
    with installation.scheduler():
        yield installation


@pytest.fixture(scope="module")
def first(airflow):
    """The run that the schedule starts; its training is killed once, after a checkpoint."""
    trainer = "SELECT pid FROM task_instance WHERE task_id = 'Trainer' AND state = 'running' AND pid IS NOT NULL"
    folder = airflow.home / "runs" / DAG / "checkpoints"
    airflow.wait_for("a checkpoint", lambda: list(folder.glob("*/step_*[0-9]")))
    ((pid,),) = airflow.ask(trainer)
    os.kill(pid, signal.SIGKILL)
    ((run,),) = airflow.ask("SELECT run_id FROM dag_run")
    # Queued now, while this machine has something else to do: runs of a DAG wait for each other.
    airflow.call("dags", "trigger", DAG, "--run-id", "again")
    stopped = f'{{"data": "{airflow.home}/one_photograph"}}'
    airflow.call("dags", "trigger", DAG, "--run-id", "stopped", "--conf", stopped)
    airflow.wait_for_run(run)
    return run


def pushed_versions(airflow) -> list[Path]:
    return sorted(airflow.home.glob("serving/colorizer/[0-9]*"))


def training_states(airflow) -> list[str]:
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    from pipeline.runners.metadata_connection import metadata_connection

    store = MetadataStore(metadata_connection(f"sqlite:///{airflow.home}/runs/{DAG}/metadata.sqlite"))
    executions = store.get_executions_by_type("components.trainer.component.Trainer")
    name = metadata_store_pb2.Execution.State.Name
    return [name(execution.last_known_state) for execution in sorted(executions, key=lambda execution: execution.id)]


def test_a_scheduled_run_pushes_a_model_that_colours(first, airflow):
    import tensorflow as tf

    states = {task: state for task, (state, _) in airflow.tasks(first).items()}
    assert states == dict.fromkeys(COMPONENTS, "success"), airflow.logs()
    (version,) = pushed_versions(airflow)
    model = tf.saved_model.load(str(version))
    lightness = np.linspace(0, 100, 32 * 32, dtype=np.float32).reshape(1, 32, 32, 1)
    ab = model.signatures["serving_default"](L=tf.constant(lightness))["ab"].numpy()
    assert ab.shape == (1, 32, 32, 2)
    assert np.abs(ab).max() > 1


def test_a_killed_training_goes_on_in_its_retry(first, airflow):
    assert airflow.tasks(first)["Trainer"] == ("success", 2)
    (record,) = airflow.home.glob(f"runs/{DAG}/pipeline/Trainer/model_run/*/training.json")
    assert json.loads(record.read_text())["resumed_at"] >= 50
    assert not (airflow.home / "runs" / DAG / "checkpoints").exists()


def test_a_second_run_trains_nothing(first, airflow):
    before = pushed_versions(airflow)
    assert airflow.wait_for_run("again") == "success"
    assert set(airflow.tasks("again").values()) == {("success", 1)}
    assert training_states(airflow) == ["COMPLETE", "CACHED"]
    assert pushed_versions(airflow) == before


def test_data_that_the_gate_refuses_fail_its_task_and_nothing_is_pushed(first, airflow):
    before = pushed_versions(airflow)
    assert airflow.wait_for_run("stopped") == "failed"
    tasks = airflow.tasks("stopped")
    assert {task for task, (state, _) in tasks.items() if state == "success"} == {
        "ImageExampleGen",
        "ImportSchemaGen",
        "StatisticsGen",
        "ExampleValidator",
    }
    assert tasks["DataGate"] == ("failed", 1), "the same data would be refused again"
    for task in ("Trainer", "Evaluator", "Canary", "Pusher"):
        assert tasks[task][0] == "upstream_failed"
    assert "0 photographs, at least 1 are needed" in airflow.logs("**/run_id=stopped/task_id=DataGate/*.log")
    assert pushed_versions(airflow) == before


def test_a_tasks_log_tells_what_the_component_did_and_little_else(first, airflow):
    log = airflow.logs(f"**/run_id={first}/task_id=ImageExampleGen/*.log")
    assert "48 files read, 48 photographs kept" in log
    assert len(log.splitlines()) < 60
