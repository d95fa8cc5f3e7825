"""Processes for the tests of the comparison: `python -m tests.pipeline.comparison_tasks TASK FOLDER`."""

import os
import signal
import sys
import time
from pathlib import Path

from pipeline.comparison.task_process import JOB_NAME, main, run_in_process

NAME = "tests.pipeline.comparison_tasks"


def _behave() -> None:
    task, folder = sys.argv[1], Path(sys.argv[2])
    if task == "be_killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "raise":
        raise RuntimeError("out of words\nand of memory")
    if task == "exit":
        sys.exit(7)
    if task == "parent":
        run_in_process("sleep", {}, folder / "child", module=NAME)
    if task == "sleep":
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(60)


if __name__ == "__main__":
    assert (Path(sys.argv[2]) / JOB_NAME).is_file() or sys.argv[1] == "parent"
    sys.exit(main(sys.argv, prepare=_behave))
