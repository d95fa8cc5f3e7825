"""Beam transforms that read, colour and write photographs, for pipelines of your own; the batch job is made of them.

    with beam.Pipeline() as pipeline:
        handler = SavedModelHandler("models/colorizer")
        read = pipeline | ReadPhotos(["scans/**/*.jpg"])
        colored = read.photos | ColorizePhotos(handler)
        written = colored.photos | WritePhotos("out")
        (read.outcomes, colored.outcomes, written) | beam.Flatten() | beam.Map(print)

What is shuffled between workers is small: where photographs lie, and what became of them. From its first byte to its
colouring's last a photograph stays in one worker, because Beam fuses these transforms as long as nothing that groups
or reshuffles comes between them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from photo.coloring_options import ColorPhotos
from photo.limits import MAX_PIXELS
from serving.batch.elements import OUTCOMES, ColoredPhoto, LoadedPhoto
from serving.batch.finding import Find
from serving.batch.hints import JobHints
from serving.batch.model_handler import ColorHandler
from serving.batch.naming import KeyByName, NameOutputs
from serving.batch.outcomes import Outcome
from serving.batch.output_settings import OutputSettings
from serving.batch.predicting import TakeAnswers
from serving.batch.preparing import Prepare
from serving.batch.reading import Read, key_of_group
from serving.batch.records import keyed_records, record_groups
from serving.batch.resuming import Resume
from serving.batch.writing import Encode, Write


class Photos(NamedTuple):
    """What a transform gives on: photographs that it could use, and outcomes of the others."""

    photos: PCollection[Any]  # of LoadedPhoto or ColoredPhoto
    outcomes: PCollection[Outcome]


class ReadPhotos(beam.PTransform[beam.Pipeline, Photos]):
    """Finds photographs and reads them: gives `Photos` of `LoadedPhoto`.

    Args:
        inputs: folders, globs, archives, lists, photographs, as `find_photos` takes them.
        settings: name the outputs.
        output: where they go; what lies there is not read. Without one, nothing is passed over.
        root: as for `find_photos`.
        hints: of the photographs.
        resume: pass over what was done by an earlier run: the same content, model and settings, and the output is
            there with its size. None reads everything.
        counter: sees every photograph that was found, and passes it on.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        settings: OutputSettings = OutputSettings(),  # noqa: B008 - frozen
        output: str = "",
        root: str | None = None,
        hints: JobHints = JobHints(),  # noqa: B008 - frozen
        resume: Resume | None = None,
        counter: beam.DoFn | None = None,
    ) -> None:
        super().__init__()
        self._inputs = list(inputs)
        self._settings = settings
        self._output = output
        self._root = root
        self._hints = hints
        self._resume = resume
        self._counter = counter

    @no_annotations  # type: ignore[untyped-decorator]  # Beam's: it would take `Photos` for a type of elements
    def expand(self, pipeline: beam.Pipeline) -> Photos:
        """Build the graph."""
        found = (
            pipeline
            | "Inputs" >> beam.Create(self._inputs)
            | "Find" >> beam.ParDo(Find(self._output, self._root)).with_outputs(OUTCOMES, main="entries")
        )
        entries = found.entries if self._counter is None else found.entries | "Count" >> beam.ParDo(self._counter)
        records = (
            pipeline
            | "Records" >> beam.Create(record_groups(self._resume.output) if self._resume else [])
            | "SpreadRecords" >> beam.Reshuffle()
            | "ReadRecords" >> beam.FlatMap(keyed_records)
        )
        tasks = (
            {"entries": entries | "KeyByName" >> beam.ParDo(KeyByName(self._settings)), "records": records}
            | "JoinRecords" >> beam.CoGroupByKey()
            | "Name" >> beam.ParDo(NameOutputs(self._settings))
        )
        neighbours = tasks | "KeyByGroup" >> beam.Map(key_of_group) | "Together" >> beam.GroupByKey()
        # Nothing may come between the grouping and the reading: it has spread the photographs over the workers.
        read = neighbours | "Read" >> beam.ParDo(Read(self._settings, self._resume, self._hints)).with_outputs(
            OUTCOMES, main="photos"
        )
        outcomes = (found[OUTCOMES], read[OUTCOMES]) | "Outcomes" >> beam.Flatten()
        return Photos(read.photos, outcomes)


class ColorizePhotos(beam.PTransform[PCollection[LoadedPhoto], Photos]):
    """Decodes photographs and finds their colour with Beam's RunInference: `LoadedPhoto` to `Photos` of `ColoredPhoto`.

    Args:
        handler: a `SavedModelHandler` or `ServerHandler`.
        max_pixels: larger photographs are left out.
        keep_tint: lay the tint of a toned or yellowed photograph over its colour; the `OutputSettings` of what reads
            and writes must say the same.
        render: sides at which the model is asked, as in `ColoringOptions`; the same holds for it.
        color_photos: what is done with those that have colour already, as in `ColoringOptions`.
    """

    def __init__(
        self,
        handler: ColorHandler,
        *,
        max_pixels: int = MAX_PIXELS,
        keep_tint: bool = False,
        render: tuple[int, ...] | None = None,
        color_photos: ColorPhotos = ColorPhotos.RECOLOR,
    ) -> None:
        super().__init__()
        self._handler = handler
        self._max_pixels = max_pixels
        self._keep_tint = keep_tint
        self._render = render
        self._color_photos = color_photos

    @no_annotations  # type: ignore[untyped-decorator]  # as above
    def expand(self, photos: PCollection[LoadedPhoto]) -> Photos:
        """Build the graph."""
        prepare_each = Prepare(self._handler, self._max_pixels, self._keep_tint, self._render, self._color_photos)
        prepared = photos | "Prepare" >> beam.ParDo(prepare_each).with_outputs(OUTCOMES, main="prepared")
        answered = (
            prepared.prepared
            | "Infer" >> RunInference(self._handler)
            | "Answer" >> beam.ParDo(TakeAnswers(self._handler)).with_outputs(OUTCOMES, main="colored")
        )
        outcomes = (prepared[OUTCOMES], answered[OUTCOMES]) | "Outcomes" >> beam.Flatten()
        return Photos(answered.colored, outcomes)


class WritePhotos(beam.PTransform[PCollection[ColoredPhoto], PCollection[Outcome]]):
    """Encodes and writes photographs at their full size: `ColoredPhoto` to `Outcome`.

    A file appears whole or not at all. Beside the files a record of each is kept, which `Resume` looks for.

    Args:
        output: a folder, of this machine or of a Beam filesystem.
        settings: format, quality and strength of the colour, and whether a tint was to be kept.
    """

    def __init__(self, output: str, *, settings: OutputSettings = OutputSettings()):  # noqa: B008 - frozen
        super().__init__()
        self._output = output
        self._settings = settings

    def expand(self, colored: PCollection[ColoredPhoto]) -> PCollection[Outcome]:
        """Build the graph."""
        encoded = colored | "Encode" >> beam.ParDo(Encode(self._settings)).with_outputs(OUTCOMES, main="files")
        written = encoded.files | "Write" >> beam.ParDo(Write(self._output, self._settings.keep_date))
        outcomes: PCollection[Outcome] = (encoded[OUTCOMES], written) | "Outcomes" >> beam.Flatten()
        return outcomes
