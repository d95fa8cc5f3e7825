"""Reads photographs, of files and of archives; what an earlier run has coloured goes no further."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from photo.archives import FileEntry, read_blocks
from photo.hints import Hint
from serving.batch.elements import OUTCOMES, ElementOrOutcome, LoadedPhoto, Task
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import file_reader, look_at
from serving.batch.hints import JobHints
from serving.batch.outcomes import Outcome, failed_by
from serving.batch.output_settings import OutputSettings
from serving.batch.overlapping import Overlap
from serving.batch.records import RecordWriter
from serving.batch.resuming import Resume, is_as_wanted, skipped

# So many photographs wait, read, for the one that is coloured now.
_READ_AHEAD = 4

# Neighbours in an archive are read by one worker: enough of them to open the archive seldom, few enough to spread it.
_MEMBERS_TOGETHER = 16


def key_of_group(task: Task) -> tuple[tuple[bytes, int, str], Task]:
    """Return a task with the key of those to be read together: of neighbours in an archive; a file is by itself."""
    entry = task.entry
    if entry.kind == "file":
        return (entry.path, 0, task.output), task
    # The position in a zip is an index, in a tar an offset of bytes: there a megabyte is taken for a photograph.
    neighbourhood = entry.position if entry.kind == "zip" else entry.position >> 20
    return (entry.path, neighbourhood // _MEMBERS_TOGETHER, ""), task


class Read(beam.DoFn):
    """(key, tasks) -> LoadedPhoto of each; or an outcome, when it was done before or cannot be read.

    Photographs are read while the ones before are coloured: files by several threads, members of archives by one,
    which opens an archive once for all neighbours.
    """

    def __init__(self, settings: OutputSettings, resume: Resume | None, hints: JobHints):
        self._settings = settings
        self._resume = resume
        self._hints = hints

    def setup(self) -> None:
        """Begin without an archive open."""
        self._reader = file_reader(any_order=True)
        self._file_threads = ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="read-files")
        self._archive_thread = ThreadPoolExecutor(1, thread_name_prefix="read-archives")

    def teardown(self) -> None:
        """Close the archives."""
        self._file_threads.shutdown(cancel_futures=True)
        self._archive_thread.shutdown(cancel_futures=True)
        self._reader.close()

    def start_bundle(self) -> None:
        """Begin with nothing read."""
        self._overlap = Overlap(_READ_AHEAD)
        self._records = RecordWriter(self._resume.output) if self._resume is not None else None

    def process(
        self,
        group: tuple[Any, Iterable[Task]],
        window: Any = beam.DoFn.WindowParam,
        timestamp: Any = beam.DoFn.TimestampParam,
    ) -> Iterator[ElementOrOutcome]:
        """Read those of one group."""
        for task in sorted(group[1], key=lambda task: task.entry):
            is_file = task.entry.kind == "file"
            threads = self._file_threads if is_file else self._archive_thread
            yield from self._overlap.begin(threads, partial(self._read, task), window, timestamp)

    def finish_bundle(self) -> Iterator[Any]:
        """Give out what still waits."""
        yield from self._overlap.rest()
        if self._records is not None:
            self._records.close()

    def _read(self, task: Task) -> ElementOrOutcome:
        started = time.perf_counter()
        try:
            task = task._replace(entry=_stamped(task.entry))
            hints = self._hints.of(task.entry)
            record = self._record_of(task, None, hints)
            if record is not None and is_as_wanted(record, self._settings, hints):
                return TaggedOutput(OUTCOMES, skipped(record, task))
            data = self._content(task.entry)
            sha256 = hashlib.sha256(data).hexdigest()
            record = self._record_of(task, sha256, hints)
        except BatchStopped:
            raise
        except Exception as error:
            return TaggedOutput(OUTCOMES, failed_by(task.shown_path, error, "unreadable"))
        if record is None:
            task = task._replace(record=None)
        elif is_as_wanted(record, self._settings, hints):
            self._keep(record, task)
            return TaggedOutput(OUTCOMES, skipped(record, task))
        return LoadedPhoto(task, data, sha256, time.perf_counter() - started, hints)

    def _record_of(self, task: Task, sha256: str | None, hints: tuple[Hint, ...]) -> Outcome | None:
        return None if self._resume is None else self._resume.record_of(task, sha256, self._settings, hints)

    def _content(self, entry: FileEntry) -> bytes:
        # Threads share the reader for files, of which it keeps none open; archives are the one thread's.
        with self._reader.open(entry) as stream:
            return b"".join(read_blocks(stream))

    def _keep(self, record: Outcome, task: Task) -> None:
        """Record that a file of another date has the content of before, so that the next run need not read it."""
        if self._records is not None and task.entry.stamp not in ("", record.input_stamp):
            self._records.add(record._replace(input_stamp=task.entry.stamp, finished=round(time.time(), 3)))


def _stamped(entry: FileEntry) -> FileEntry:
    """Return an entry with the stamp that its file has now, where it was named and not listed."""
    if entry.stamp:
        return entry
    file = look_at(entry.location)
    return entry if file is None else entry._replace(stamp=file.stamp)
