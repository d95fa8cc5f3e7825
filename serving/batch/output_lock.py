"""Keeps an output on this machine to one job at a time, and free of what a job left half-written."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from photo.locks import locked
from serving.batch.file_systems import is_local
from serving.batch.output_settings import OWN_FOLDER

# What a run that was killed, or failed, may leave behind: files of `write_whole`, and folders of Beam's sinks.
_LEFT_BEHIND = re.compile(r"\.[0-9a-f]{16}\.part|beam-temp-.+")


@contextmanager
def only_job_into(output: str) -> Iterator[None]:
    """Refuse a second job into the same folder of this machine while the block runs; remove what was left half-written.

    Raises:
        TintypeError: another job writes there.
    """
    if not is_local(output):
        yield
        return
    folder = Path(output) / OWN_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", busy=f"another job writes into {output}; wait for it, or choose another folder"):
        _remove_leftovers(output)
        try:
            yield
        finally:
            _remove_leftovers(output)  # Beam leaves the folders of a pipeline that failed


def _remove_leftovers(output: str) -> None:
    """Remove what a run has left half-written, under names that no photograph has."""
    for folder, subfolders, files in os.walk(output):
        for name in filter(_LEFT_BEHIND.fullmatch, files):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))
        for name in filter(_LEFT_BEHIND.fullmatch, list(subfolders)):
            subfolders.remove(name)
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
