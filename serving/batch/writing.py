"""Encodes photographs at their full size and writes them, each with its record."""

import hashlib
import time
from collections.abc import Iterator

import apache_beam as beam

from photo.coloring import finish
from photo.encoding import ColoredPage, EncodedColoring, encode_colored_pages, encode_coloring
from photo.provenance import provenance_now
from serving.batch.elements import ColoredPhoto, PreparedPhoto
from serving.batch.errors import BatchStopped
from serving.batch.outcomes import DONE, Outcome, failed_by
from serving.batch.output_settings import OutputSettings
from serving.batch.outputs import join, write_file
from serving.batch.records import RecordWriter
from serving.batch.resuming import has_tint


class Write(beam.DoFn):
    """ColoredPhoto -> Outcome; the file is written, and from time to time the records."""

    def __init__(self, output: str, settings: OutputSettings):
        self._output = output
        self._settings = settings

    def start_bundle(self) -> None:
        """Begin a file of records."""
        self._records = RecordWriter(self._output)

    def process(self, colored: ColoredPhoto) -> Iterator[Outcome]:
        """Write one."""
        started = time.perf_counter()
        photo, task = colored.photo, colored.photo.task
        try:
            height, width = photo.prepared.lightness.shape
            encoded, notes = self._encoded(colored)
            is_dated = self._settings.keep_date and task.entry.kind == "file"
            write_file(join(self._output, task.output), encoded, dated_as=task.entry.location if is_dated else None)
        except BatchStopped:
            raise
        except Exception as error:
            yield failed_by(task.shown_path, error, "unwritable")
            return
        outcome = Outcome(
            task.shown_path,
            DONE,
            output=task.output,
            key=task.key,
            settings=self._settings.digest(task.output, self._tint_of(photo.pages), photo.hints),
            width=width,
            height=height,
            input_bytes=photo.input_bytes,
            output_bytes=len(encoded),
            input_sha256=photo.input_sha256,
            output_sha256=hashlib.sha256(encoded).hexdigest(),
            model_version=colored.model_version,
            model_fingerprint=colored.model_fingerprint,
            milliseconds=round(1000 * (photo.seconds + time.perf_counter() - started), 1),
            finished=round(time.time(), 3),
            notes="; ".join(dict.fromkeys((*(note for page in photo.pages for note in page.notes), *notes))),
        )
        self._records.add(outcome)
        yield outcome

    def _encoded(self, colored: ColoredPhoto) -> EncodedColoring:
        pages = [
            ColoredPage(finish(page.prepared, ab, self._settings.strength), page.metadata, page.alpha)
            for page, ab in zip(colored.photo.pages, colored.ab, strict=True)
        ]
        provenance = provenance_now(colored.model_fingerprint)
        if len(pages) > 1:
            return encode_colored_pages(pages, self._settings, provenance)
        [page] = pages
        format = self._settings.encoding_of(colored.photo.task.output)
        return encode_coloring(page.rgb, format, page.metadata, self._settings, provenance, page.alpha)

    def finish_bundle(self) -> None:
        """Write the last records."""
        self._records.close()

    def _tint_of(self, pages: tuple[PreparedPhoto, ...]) -> bool | None:
        return any(has_tint(page.prepared) for page in pages) if self._settings.keep_tint else None
