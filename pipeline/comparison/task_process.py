"""Runs one task in a process of its own: its memory is given back, and its crash stops nothing else."""

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from photo.errors import TintypeError
from photo.whole_file import write_whole
from pipeline.comparison.jobs import MethodJob, TrainingJob
from serving.model.quiet_tensorflow import import_tensorflow_quietly

Task = Literal["ingest", "train_and_measure", "measure_method"]

# Not __name__, which is another when this module itself is the process.
MODULE = "pipeline.comparison.task_process"
JOB_NAME = "job.json"
ERROR_NAME = "error.txt"

_PACKAGES = Path(__file__).parents[2]
# Enough for a slow step to end and a checkpoint to be written.
_SECONDS_TO_STOP = 60
_LONGEST_ERROR = 400


def run_in_process(task: Task, job: dict[str, Any], folder: Path, *, module: str = MODULE) -> str | None:
    """Run a task to its end, its progress on this process's standard error.

    The process ends with this one, however this one ends.

    Args:
        task: what to run.
        job: its arguments, as JSON can hold them.
        folder: keeps the job and, when it fails, the error.
        module: what the process runs.

    Returns:
        None, or what went wrong in a few words.
    """
    (folder / ERROR_NAME).unlink(missing_ok=True)
    write_whole(folder / JOB_NAME, json.dumps(job, indent=2))
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module, task, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        try:
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
    if code == 0:
        return None
    if (folder / ERROR_NAME).is_file():
        return (folder / ERROR_NAME).read_text()
    if code < 0:
        why = "; the machine may have run out of memory" if -code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{why}"
    return f"its process ended with exit code {code}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()


def _end_with_parent() -> None:
    """End this process when the pipe to its standard input closes: its parent is gone, even if it was killed."""

    def wait() -> None:
        os.read(0, 1)
        # Not at once: a training then leaves a checkpoint.
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _in_words(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:_LONGEST_ERROR].removesuffix(": ")


def main(arguments: Sequence[str], *, prepare: Callable[[], None] = import_tensorflow_quietly) -> int:
    """Run the task that the parent asked for; the process's own half of `run_in_process`.

    Args:
        arguments: of the process: its name, the task, the folder of the job.
        prepare: called before the task; keeps what TensorFlow says at its start off the terminal.

    Returns:
        the exit code: 0, or 1 with the error beside the job.
    """
    task, folder = arguments[1], Path(arguments[2])
    _end_with_parent()
    try:
        prepare()
        job = json.loads((folder / JOB_NAME).read_text())
        if task == "ingest":
            from components.image_example_gen.config import DataConfig
            from components.image_example_gen.ingestion import ingest

            ingest(job["location"], Path(job["folder"]), DataConfig.model_validate(job["config"]))
        elif task == "measure_method":
            from pipeline.comparison.methods.measuring import measure_method

            measure_method(MethodJob(**job), folder)
        else:
            from pipeline.comparison.train_and_measure import train_and_measure

            train_and_measure(TrainingJob(**job), folder)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except TintypeError as error:
        write_whole(folder / ERROR_NAME, str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        write_whole(folder / ERROR_NAME, _in_words(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
