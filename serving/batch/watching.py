"""Colours what arrives in folders of this machine, until it is told to stop."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from photo.archives import FileEntry
from photo.errors import TintypeError
from photo.whole_file import write_whole
from serving.batch.finding import find_photos
from serving.batch.job import BatchJob
from serving.batch.local_runner import local_options
from serving.batch.output_settings import OWN_FOLDER
from serving.batch.outputs import write_own_file
from serving.batch.reports import MANIFEST_NAME, REPORT_NAME, encode_manifest, standing_records
from serving.batch.running import run_batch
from serving.batch.summary import BatchSummary

# A file that did not change between two looks has arrived.
_LOOK_SECONDS = 2.0

_Seen = dict[bytes, tuple[int, int]]


def watch(
    job: BatchJob,
    stop: threading.Event,
    *,
    workers: int = 0,
    look_seconds: float = _LOOK_SECONDS,
    tell: Callable[[BatchSummary], None] = lambda summary: None,
) -> None:
    """Colour what is in the job's folders and what comes, or changes, later; returns when `stop` is set.

    The first round is an ordinary job on `workers` processes. Later ones run in this process, whose model stays loaded.
    Failures are added to the report; the manifest is written anew when it stops.

    Args:
        job: its inputs are folders of this machine, and so is its output.
        stop: ends the watch, when the round that runs is done.
        workers: of the first round, as for `local_options`.
        look_seconds: between two looks for arrivals.
        tell: is given the summary of every round.

    Raises:
        TintypeError: an input is no folder; or as `run_batch`.
    """
    for folder in job.inputs:
        if not os.path.isdir(folder):
            raise TintypeError(f"only folders of this machine can be watched, and {folder} is none")
    before = {folder: _look(folder, job.output) for folder in job.inputs}
    tell(run_batch(job, local_options(workers)))
    colored = {folder: dict(seen) for folder, seen in before.items()}
    round_reports = Path(job.output) / OWN_FOLDER / "round"
    while not stop.wait(look_seconds):
        for folder in job.inputs:
            now = _look(folder, job.output)
            arrived = [
                path
                for path, state in now.items()
                if before[folder].get(path) == state and colored[folder].get(path) != state
            ]
            before[folder] = now
            if arrived:
                colored[folder] |= {path: now[path] for path in arrived}
                inputs = [path.decode("utf-8", "surrogateescape") for path in arrived]
                root = job.options.root or folder
                options = replace(job.options, root=root, reports_folder=str(round_reports), sample=0)
                arrivals = replace(job, inputs=inputs, options=options)
                tell(run_batch(arrivals, local_options(1), show_progress=False))
                _add_to_report(round_reports / REPORT_NAME, Path(job.output) / REPORT_NAME)
    write_own_file(job.report_location(MANIFEST_NAME), encode_manifest(standing_records(job.output)))


def _look(folder: str, output: str) -> _Seen:
    """Return the files that hold photographs, with size and time of change."""
    seen: _Seen = {}
    for found in find_photos(folder, output=output):
        if isinstance(found, FileEntry):
            with suppress(OSError):  # it has gone again
                status = os.stat(found.path)
                seen[found.path] = (status.st_size, status.st_mtime_ns)
    return seen


def _add_to_report(lines: Path, report: Path) -> None:
    added = lines.read_bytes()
    if added:
        write_whole(report, (report.read_bytes() if report.exists() else b"") + added)
