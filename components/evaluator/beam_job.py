"""The Evaluator's Beam job: measures a model on every example, draws the first ones, and compares their variants."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.transforms import combiners
from apache_beam.utils.shared import Shared
from tfx.utils import io_utils

from components.evaluator.config import EvaluateConfig
from components.evaluator.evaluation import colored_row, measure_photos, square_photo, summarize
from components.evaluator.examples import Photograph, photographs
from components.evaluator.metrics import MetricSums
from components.evaluator.picture_grid import draw_grid
from components.evaluator.variants import VARIANT_PHOTOS, VARIANTS_AB_DISTANCE, variants_ab_distance
from photo.color import rgb_to_lightness
from photo.decoding import decode_photo
from serving.model.saved_colorizer import SavedColorizer


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and where the results go.

    Attributes:
        model_dir: the SavedModel that is measured.
        baseline_dir: the one it is compared with; None compares with gray only.
        metrics_path: a JSON as `evaluation.summarize` gives it; not written where there is no photograph.
        grid_path: a PNG of the first photographs by their hash.
        variants_path: a JSON of how much plausible colourings differ.
    """

    model_dir: str
    baseline_dir: str | None
    metrics_path: str
    grid_path: str
    variants_path: str


def evaluate(pipeline: beam.Pipeline, files: Sequence[str], evaluation: Evaluation, config: EvaluateConfig) -> None:
    """Add the job to a pipeline.

    Args:
        pipeline: runs it when it ends.
        files: TFRecords of Examples.
        evaluation: the models and the paths of the results.
        config: sizes of the batches and of the grid.
    """
    decoded = (
        pipeline
        | "Files" >> beam.Create(files)
        | "Read" >> beam.io.ReadAllFromTFRecord()
        | "Decode" >> beam.FlatMap(photographs)
    )
    _ = (
        decoded
        | "Batch" >> beam.BatchElements(min_batch_size=config.batch_size, max_batch_size=config.batch_size)
        | "Measure" >> beam.ParDo(_Measure(evaluation.model_dir, evaluation.baseline_dir))
        | "Sum" >> beam.CombinePerKey(_SumMetrics())  # type: ignore[no-untyped-call] # of Beam
        | "Collect" >> combiners.ToDict()
        | "WriteMetrics" >> beam.Map(_write_metrics, evaluation.metrics_path)
    )
    chosen = (
        decoded
        | "ByHash" >> beam.Map(lambda photo: (photo.sha256, photo.encoded))
        # By hash: any selection would do that is the same in every run on the same photos.
        | "Choose" >> combiners.Top.Smallest(max(config.grid_rows, VARIANT_PHOTOS))
    )
    _ = chosen | "Draw" >> beam.ParDo(_DrawGrid(evaluation.model_dir, evaluation.grid_path, config.grid_rows))
    _ = chosen | "Vary" >> beam.ParDo(_MeasureVariants(evaluation.model_dir, evaluation.variants_path))


class _Measure(beam.DoFn):
    """Batches of Photograph -> (label, metrics of one photo), and the same once more under the key None for all."""

    def __init__(self, model_dir: str, baseline_dir: str | None):
        self._model_dir, self._baseline_dir = model_dir, baseline_dir
        # One copy of each model per process, however many threads run this.
        self._model_copy, self._baseline_copy = Shared(), Shared()

    def setup(self) -> None:
        self._model: SavedColorizer = self._model_copy.acquire(lambda: SavedColorizer(self._model_dir))
        self._baseline: SavedColorizer | None = None
        if (folder := self._baseline_dir) is not None:
            self._baseline = self._baseline_copy.acquire(lambda: SavedColorizer(folder))

    def process(self, batch: list[Photograph]) -> Iterable[tuple[str | None, dict[str, dict[str, float]]]]:
        measured = measure_photos(self._model, self._baseline, [photo.rgb for photo in batch])
        for photo, metrics in zip(batch, measured.metrics, strict=True):
            yield None, metrics
            yield photo.label, metrics


class _SumMetrics(beam.CombineFn):
    def create_accumulator(self) -> MetricSums:
        return MetricSums()

    def add_input(self, accumulator: MetricSums, photo: dict[str, dict[str, float]]) -> MetricSums:
        return accumulator.add(photo)

    def merge_accumulators(self, accumulators: Iterable[MetricSums]) -> MetricSums:
        merged = MetricSums()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: MetricSums) -> MetricSums:
        return accumulator


def _write_metrics(sums: dict[str | None, MetricSums], path: str) -> None:
    if sums:
        by_label = {label: group for label, group in sums.items() if label is not None}
        io_utils.write_string_file(path, json.dumps(summarize(by_label, sums[None])))


class _DrawGrid(beam.DoFn):
    """The first of the chosen photographs -> a PNG."""

    def __init__(self, model_dir: str, path: str, rows: int):
        self._model_dir = model_dir
        self._path = path
        self._rows = rows

    def process(self, chosen: list[tuple[str, bytes]]) -> None:
        if not chosen:
            return
        model = SavedColorizer(self._model_dir)
        png = io.BytesIO()
        rows = [colored_row(model, decode_photo(encoded).rgb) for _, encoded in chosen[: self._rows]]
        draw_grid(rows).save(png, "PNG")
        io_utils.write_bytes_file(self._path, png.getvalue())


class _MeasureVariants(beam.DoFn):
    """The chosen photographs -> how much their plausible colourings differ, as JSON."""

    def __init__(self, model_dir: str, path: str):
        self._model_dir = model_dir
        self._path = path

    def process(self, chosen: list[tuple[str, bytes]]) -> None:
        model = SavedColorizer(self._model_dir)
        photos = (decode_photo(encoded).rgb for _, encoded in chosen[:VARIANT_PHOTOS])
        squares = (rgb_to_lightness(square_photo(photo, model.description.size)) for photo in photos)
        distance = variants_ab_distance(model, squares)
        io_utils.write_string_file(self._path, json.dumps({VARIANTS_AB_DISTANCE: distance}))
