"""Beam's options for running a pipeline on this machine."""

import os

# By its full name: the short one, DirectRunner, may stand for another runner, which is downloaded.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def local_options(workers: int) -> list[str]:
    """Return Beam's options for this machine: 1 worker stays in this process, 0 takes one for every core."""
    if workers == 1:
        return [f"--runner={LOCAL_RUNNER}", "--direct_running_mode=in_memory"]
    workers = workers or len(os.sched_getaffinity(0))
    return [
        f"--runner={LOCAL_RUNNER}",
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={workers}",
    ]
