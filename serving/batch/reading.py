"""Reads photographs, of files and of archives; what an earlier run has coloured goes no further."""

import hashlib
import time
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from photo.archives import read_blocks
from serving.batch.elements import OUTCOMES, ElementOrOutcome, LoadedPhoto, Task
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import file_reader
from serving.batch.hints import JobHints
from serving.batch.outcomes import failed_by
from serving.batch.output_settings import OutputSettings
from serving.batch.resuming import Resume, is_as_wanted, skipped


class Read(beam.DoFn):
    """Task -> LoadedPhoto; or an outcome, when it was done before or cannot be read."""

    def __init__(self, settings: OutputSettings, resume: Resume | None, hints: JobHints):
        self._settings = settings
        self._resume = resume
        self._hints = hints

    def setup(self) -> None:
        """Begin without an archive open."""
        self._reader = file_reader(any_order=True)

    def teardown(self) -> None:
        """Close the archives."""
        self._reader.close()

    def process(self, task: Task) -> Iterator[ElementOrOutcome]:
        """Read one."""
        started = time.perf_counter()
        try:
            with self._reader.open(task.entry) as stream:
                data = b"".join(read_blocks(stream))
            sha256 = hashlib.sha256(data).hexdigest()
            hints = self._hints.of(task.entry)
            record = None if self._resume is None else self._resume.record_of(task, sha256, self._settings, hints)
        except BatchStopped:
            raise
        except Exception as error:
            yield TaggedOutput(OUTCOMES, failed_by(task.shown_path, error, "unreadable"))
            return
        if record is None:
            task = task._replace(record="")
        elif is_as_wanted(record, self._settings, hints):
            yield TaggedOutput(OUTCOMES, skipped(record, task))
            return
        yield LoadedPhoto(task, data, sha256, time.perf_counter() - started, hints)
