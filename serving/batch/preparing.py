"""Decodes photographs and takes the square that the network sees."""

import time
from collections.abc import Iterator
from dataclasses import replace

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from photo.coloring import at_side, prepare
from photo.coloring_options import ColoringOptions, ColorPhotos
from photo.decoding import decode_pages
from photo.errors import TintypeError
from photo.pages import PagePlan, plan_pages
from photo.tint import color_notes
from serving.batch.elements import OUTCOMES, ElementOrOutcome, LoadedPhoto, PreparedPhoto
from serving.batch.errors import BatchStopped
from serving.batch.model_handler import ColorHandler
from serving.batch.outcomes import failed_by
from serving.batch.output_settings import OutputSettings
from serving.batch.resuming import has_tint, skipped
from serving.malloc_settings import keep_freed_memory

# Every photograph frees, and the next one takes, arrays of its full size: up to 20 megapixels they are kept.
_LARGEST_BLOCK = 256 * 2**20


class Prepare(beam.DoFn):
    """LoadedPhoto -> PreparedPhoto; or an outcome, when it is no photograph, or was done and has no tint to keep."""

    def __init__(
        self,
        handler: ColorHandler,
        max_pixels: int,
        keep_tint: bool,
        render: tuple[int, ...] | None,
        color_photos: ColorPhotos,
    ):
        self._handler = handler
        self._max_pixels = max_pixels
        self._keep_tint = keep_tint
        self._render = render
        self._color_photos = color_photos

    def setup(self) -> None:
        """Leave the other cores to other workers, and keep memory for the next photograph."""
        import cv2

        # A worker process for every core is the plan; OpenCV would take all cores in each.
        cv2.setNumThreads(1)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        keep_freed_memory(_LARGEST_BLOCK, _LARGEST_BLOCK)

    def process(self, loaded: LoadedPhoto) -> Iterator[ElementOrOutcome]:
        """Prepare one."""
        task = loaded.task
        try:
            prepared = self._prepared(loaded)
        except BatchStopped:
            raise
        except Exception as error:
            yield TaggedOutput(OUTCOMES, failed_by(task.shown_path, error, "unreadable"))
            return
        record = task.record
        if record is not None and not any(has_tint(page.prepared) for page in prepared.pages):
            yield TaggedOutput(OUTCOMES, skipped(record, task))
            return
        del loaded  # the next steps run inside this yield
        yield prepared

    def _prepared(self, loaded: LoadedPhoto) -> PreparedPhoto:
        """Return the photograph with all of its pages that are to be coloured."""
        started = time.perf_counter()
        format = OutputSettings().encoding_of(loaded.task.output)  # by the name alone
        plan = plan_pages(loaded.data, ColoringOptions(), format, max_pixels=self._max_pixels)
        first, *others = self._pages(loaded, plan)
        seconds = loaded.seconds + time.perf_counter() - started
        notes = first.notes + plan.notes(loaded.hints)
        return replace(first, seconds=seconds, notes=notes, more_pages=tuple(others))

    def _pages(self, loaded: LoadedPhoto, plan: PagePlan) -> Iterator[PreparedPhoto]:
        """Decode and prepare each page that is to be coloured."""
        sides = self._sides()
        for photo in decode_pages(loaded.data, plan.pages, max_pixels=self._max_pixels):
            notes = photo.notes + color_notes(photo.color, self._color_photos)
            hints = plan.hints_of(photo.page, loaded.hints)
            prepared = prepare(photo.color, sides[0], keep_tint=self._keep_tint, hints=hints)
            smaller = tuple(at_side(prepared, side) for side in sides[1:])
            yield PreparedPhoto(
                loaded.task,
                len(loaded.data),
                loaded.sha256,
                prepared,
                photo.metadata,
                photo.alpha,
                notes,
                seconds=0.0,
                smaller=smaller,
                hints=loaded.hints,
            )

    def _sides(self) -> list[int]:
        """Return the sides at which the model is asked; raises BatchStopped where it takes none such."""
        try:
            return self._handler.identity().description.sides_to_ask(self._render)
        except BatchStopped:
            raise
        except TintypeError as error:
            raise BatchStopped(str(error)) from error
