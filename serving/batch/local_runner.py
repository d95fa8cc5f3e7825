"""Beam's options for running a pipeline on this machine."""

import os

# By its full name: the short one, DirectRunner, may stand for another runner, which is downloaded.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def local_options(workers: int, *, here: bool = True) -> list[str]:
    """Return Beam's options for one machine.

    Args:
        workers: 1 stays in the process, 0 takes a process for every core.
        here: it is this machine; else Beam counts the cores where it runs.
    """
    if workers == 1:
        return [f"--runner={LOCAL_RUNNER}", "--direct_running_mode=in_memory"]
    if here:
        workers = workers or len(os.sched_getaffinity(0))  # of the machine's cores those that this process may use
    return [
        f"--runner={LOCAL_RUNNER}",
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={workers}",
    ]
