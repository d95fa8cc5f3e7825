"""Encodes photographs at their full size and writes them, each with its record."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from photo.coloring import finish
from photo.encoding import ColoredPage, EncodedColoring, encode_colored_pages, encode_coloring
from photo.provenance import provenance_now
from serving.batch.elements import OUTCOMES, ColoredPhoto, ElementOrOutcome, PreparedPhoto, Task
from serving.batch.errors import BatchStopped
from serving.batch.outcomes import DONE, Outcome, failed_by
from serving.batch.output_settings import OutputSettings
from serving.batch.outputs import join, write_file
from serving.batch.overlapping import Overlap
from serving.batch.records import RecordWriter
from serving.batch.resuming import has_tint

# So many files may be on their way to storage while the next photograph is coloured.
_WRITTEN_AT_ONCE = 4


class EncodedPhoto(NamedTuple):
    """A coloured photograph as its file will be.

    Attributes:
        task: where it came from and goes.
        data: bytes of the file.
        outcome: what became of it, once they are written.
    """

    task: Task
    data: bytes
    outcome: Outcome


class Encode(beam.DoFn):
    """ColoredPhoto -> EncodedPhoto; or an outcome, when it cannot be."""

    def __init__(self, settings: OutputSettings):
        self._settings = settings

    def process(self, colored: ColoredPhoto) -> Iterator[ElementOrOutcome]:
        """Encode one."""
        started = time.perf_counter()
        task = colored.photo.task
        try:
            data, notes = self._encoded(colored)
            outcome = self._outcome(colored, data, notes, started)
        except BatchStopped:
            raise
        except Exception as error:
            yield TaggedOutput(OUTCOMES, failed_by(task.shown_path, error, "unwritable"))
            return
        del colored  # the next step runs inside this yield
        yield EncodedPhoto(task, data, outcome)

    def _outcome(self, colored: ColoredPhoto, data: bytes, notes: Sequence[str], started: float) -> Outcome:
        """Return what became of a photograph once these bytes are written."""
        photo, task = colored.photo, colored.photo.task
        height, width = photo.prepared.lightness.shape
        return Outcome(
            task.shown_path,
            DONE,
            output=task.output,
            key=task.key,
            settings=self._settings.digest(task.output, self._tint_of(photo.pages), photo.hints),
            width=width,
            height=height,
            input_bytes=photo.input_bytes,
            output_bytes=len(data),
            input_sha256=photo.input_sha256,
            output_sha256=hashlib.sha256(data).hexdigest(),
            model_version=colored.model_version,
            model_fingerprint=colored.model_fingerprint,
            milliseconds=1000 * (photo.seconds + time.perf_counter() - started),
            notes="; ".join(dict.fromkeys((*(note for page in photo.pages for note in page.notes), *notes))),
            input_stamp=task.entry.stamp,
        )

    def _encoded(self, colored: ColoredPhoto) -> EncodedColoring:
        pages = [
            ColoredPage(finish(page.prepared, ab, self._settings), page.metadata, page.alpha)
            for page, ab in zip(colored.photo.pages, colored.ab, strict=True)
        ]
        provenance = provenance_now(colored.model_fingerprint)
        if len(pages) > 1:
            return encode_colored_pages(pages, self._settings, provenance)
        [page] = pages
        format = self._settings.encoding_of(colored.photo.task.output)
        return encode_coloring(page.rgb, format, page.metadata, self._settings, provenance, page.alpha)

    def _tint_of(self, pages: tuple[PreparedPhoto, ...]) -> bool | None:
        return any(has_tint(page.prepared) for page in pages) if self._settings.keep_tint else None


class Write(beam.DoFn):
    """EncodedPhoto -> Outcome; while the file is on its way to storage the next photographs are coloured."""

    def __init__(self, output: str, keep_date: bool):
        self._output = output
        self._keep_date = keep_date

    def setup(self) -> None:
        """Begin without a file."""
        self._threads = ThreadPoolExecutor(_WRITTEN_AT_ONCE, thread_name_prefix="write")

    def teardown(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def start_bundle(self) -> None:
        """Begin a file of records."""
        self._records = RecordWriter(self._output)
        self._overlap = Overlap(_WRITTEN_AT_ONCE)

    def process(
        self, encoded: EncodedPhoto, window: Any = beam.DoFn.WindowParam, timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterator[Any]:
        """Begin to write one."""
        yield from self._overlap.begin(self._threads, partial(self._write, encoded), window, timestamp)

    def finish_bundle(self) -> Iterator[Any]:
        """Wait for the last files, and write the last records."""
        yield from self._overlap.rest()
        self._records.close()

    def _write(self, encoded: EncodedPhoto) -> Outcome:
        started = time.perf_counter()
        task, outcome = encoded.task, encoded.outcome
        try:
            is_dated = self._keep_date and task.entry.kind == "file"
            dated_as = task.entry.location if is_dated else None
            write_file(join(self._output, task.output), encoded.data, dated_as=dated_as)
        except BatchStopped:
            raise
        except Exception as error:
            return failed_by(task.shown_path, error, "unwritable")
        milliseconds = outcome.milliseconds + 1000 * (time.perf_counter() - started)
        outcome = outcome._replace(milliseconds=round(milliseconds, 1), finished=round(time.time(), 3))
        self._records.add(outcome)
        return outcome
