"""The Evaluator's Beam job: measures a model on every example, on some of them more closely, and draws a few."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.transforms import combiners
from apache_beam.utils.shared import Shared
from numpy.typing import NDArray
from tfx.utils import io_utils

from components.evaluator.config import EvaluateConfig
from components.evaluator.evaluation import colored_row, measure_photos, square_photo, summarize
from components.evaluator.examples import Photograph, photographs, records
from components.evaluator.frechet import (
    MOST_PHOTOS,
    PictureFeatures,
    frechet_figures,
    has_imagenet_weights,
    picture_features,
)
from components.evaluator.metrics import MetricSums
from components.evaluator.picture_grid import draw_grid
from components.evaluator.sample import SAMPLE_PHOTOS, measure_sample
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
        sample_path: a JSON as `sample.measure_sample` gives it.
        frechet_path: a JSON as `frechet.frechet_figures` gives it.
    """

    model_dir: str
    baseline_dir: str | None
    metrics_path: str
    grid_path: str
    sample_path: str
    frechet_path: str


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
        | "SpreadFiles" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(records)  # not Beam's own reader, which takes paths for patterns
        | "Decode" >> beam.FlatMap(photographs)
    )
    measured = (
        decoded
        | "Batch" >> beam.BatchElements(min_batch_size=config.batch_size, max_batch_size=config.batch_size)
        | "Measure"
        >> beam.ParDo(_Measure(evaluation.model_dir, evaluation.baseline_dir)).with_outputs(
            _Measure.FEATURES, main=_Measure.METRICS
        )
    )
    _ = (
        measured[_Measure.METRICS]
        | "Sum" >> beam.CombinePerKey(_SumMetrics())  # type: ignore[no-untyped-call] # of Beam
        | "Collect" >> combiners.ToDict()
        | "WriteMetrics" >> beam.Map(_write_metrics, evaluation.metrics_path)
    )
    _ = (
        measured[_Measure.FEATURES]
        | "ChooseFeatures" >> combiners.Top.Smallest(MOST_PHOTOS, key=_hash)
        | "WriteFrechet" >> beam.Map(_write_frechet, evaluation.frechet_path)
    )
    chosen = (
        decoded
        | "ByHash" >> beam.Map(lambda photo: (photo.sha256, photo.encoded))
        # By hash: any selection would do that is the same in every run on the same photos.
        | "Choose" >> combiners.Top.Smallest(max(config.grid_rows, SAMPLE_PHOTOS))
    )
    _ = chosen | "Draw" >> beam.ParDo(_DrawGrid(evaluation.model_dir, evaluation.grid_path, config.grid_rows))
    _ = chosen | "MeasureSample" >> beam.ParDo(_MeasureSample(evaluation.model_dir, evaluation.sample_path))


class _Measure(beam.DoFn):
    """Batches of Photograph -> (label, metrics of one photo), and the same once more under the key None for all.

    Where ImageNet's weights are installed, also -> (hash, features of one photo), under FEATURES.
    """

    METRICS, FEATURES = "metrics", "features"

    def __init__(self, model_dir: str, baseline_dir: str | None):
        self._model_dir, self._baseline_dir = model_dir, baseline_dir
        # One copy of each model per process, however many threads run this.
        self._model_copy, self._baseline_copy = Shared(), Shared()

    def setup(self) -> None:
        self._model: SavedColorizer = self._model_copy.acquire(lambda: SavedColorizer(self._model_dir))
        self._baseline: SavedColorizer | None = None
        if (folder := self._baseline_dir) is not None:
            self._baseline = self._baseline_copy.acquire(lambda: SavedColorizer(folder))

    def process(self, batch: list[Photograph]) -> Iterable[Any]:
        measured = measure_photos(self._model, self._baseline, [photo.rgb for photo in batch])
        for photo, metrics in zip(batch, measured.metrics, strict=True):
            yield None, metrics
            yield photo.label, metrics
        if has_imagenet_weights():
            for photo, *features in zip(batch, *picture_features(measured.squares, measured.ab), strict=True):
                yield beam.pvalue.TaggedOutput(self.FEATURES, (photo.sha256, features))


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


def _hash(featured: tuple[str, list[NDArray[np.float32]]]) -> str:
    return featured[0]


def _write_frechet(chosen: list[tuple[str, list[NDArray[np.float32]]]], path: str) -> None:
    columns = zip(*(features for _, features in chosen), strict=True)
    batches = [PictureFeatures(*map(np.stack, columns))] if chosen else []
    io_utils.write_string_file(path, json.dumps(frechet_figures(batches)))


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


class _MeasureSample(beam.DoFn):
    """The first of the chosen photographs -> what is measured on a sample, as JSON."""

    def __init__(self, model_dir: str, path: str):
        self._model_dir = model_dir
        self._path = path

    def process(self, chosen: list[tuple[str, bytes]]) -> None:
        model = SavedColorizer(self._model_dir)
        photos = (decode_photo(encoded).rgb for _, encoded in chosen[:SAMPLE_PHOTOS])
        squares = [square_photo(photo, model.description.size) for photo in photos]
        io_utils.write_string_file(self._path, json.dumps(measure_sample(model, squares)))
