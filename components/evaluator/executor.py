"""The work of the Evaluator: measures a candidate in a Beam job, draws it, and blesses it or says why not."""

import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import apache_beam as beam
import tensorflow as tf
from absl import logging
from apache_beam.utils.shared import Shared
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.evaluator.blessing import reasons_against
from components.evaluator.config import EvaluateConfig
from components.evaluator.evaluation import BASELINE, MODEL, colored_row, measure_photos, square_photo, summarize
from components.evaluator.examples import Photograph, photographs, record_files
from components.evaluator.grid import draw_grid
from components.evaluator.metrics import MetricSums
from components.evaluator.variants import VARIANT_PHOTOS, VARIANTS_AB_DISTANCE, variants_ab_distance
from photo.color import rgb_to_lightness
from photo.decoding import decode_photo
from photo.errors import TintypeError
from serving.model.saved_colorizer import SavedColorizer
from serving.model.version_folders import newest_version

METRICS_FILE = "metrics.json"
GRID_FILE = "grid.png"
VARIANTS_FILE = "variants.json"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Measures the exported SavedModel, and the served one, on one split of the examples."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Measure, draw, bless.

        Args:
            input_dict: `examples` (Examples), `model` (Model).
            output_dict: `evaluation` (ModelEvaluation) gets `metrics.json` and `grid.png`; `blessing` (ModelBlessing)
                gets what TFX's own Evaluator writes: the file BLESSED or NOT_BLESSED and the property `blessed`.
            exec_properties: `config`, the JSON of an EvaluateConfig; `served_base_path`, under which the newest version
                is the baseline, or "".

        Raises:
            TintypeError: the candidate cannot be used at all, or the split holds no photograph.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = EvaluateConfig.model_validate_json(exec_properties["config"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        evaluation = artifact_utils.get_single_instance(output_dict["evaluation"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        model_dir = path_utils.serving_model_path(model.uri)
        files = record_files(input_dict["examples"], config.split)

        description = SavedColorizer(model_dir).description
        baseline = _served_model(exec_properties.get("served_base_path") or "")
        baseline_dir = baseline["path"] if baseline and "error" not in baseline else None

        metrics_path = os.path.join(evaluation.uri, METRICS_FILE)
        fileio.makedirs(evaluation.uri)
        with self._make_beam_pipeline() as pipeline:
            decoded = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Read" >> beam.io.ReadAllFromTFRecord()
                | "Decode" >> beam.FlatMap(photographs)
            )
            _ = (
                decoded
                | "Batch" >> beam.BatchElements(min_batch_size=config.batch_size, max_batch_size=config.batch_size)
                | "Measure" >> beam.ParDo(_Measure(model_dir, baseline_dir))
                | "Sum" >> beam.CombinePerKey(_SumMetrics())
                | "Collect" >> beam.combiners.ToDict()
                | "WriteMetrics" >> beam.Map(_write_metrics, metrics_path)
            )
            chosen = (
                decoded
                | "ByHash" >> beam.Map(lambda photo: (photo.sha256, photo.encoded))
                # By hash: any selection would do that is the same in every run on the same photos.
                | "Choose" >> beam.combiners.Top.Smallest(max(config.grid_rows, VARIANT_PHOTOS))
            )
            grid_path = os.path.join(evaluation.uri, GRID_FILE)
            _ = chosen | "Draw" >> beam.ParDo(_DrawGrid(model_dir, grid_path, config.grid_rows))
            variants_path = os.path.join(evaluation.uri, VARIANTS_FILE)
            _ = chosen | "Vary" >> beam.ParDo(_MeasureVariants(model_dir, variants_path))

        if not fileio.exists(metrics_path):
            raise TintypeError(f"no photograph in the split {config.split!r} of {len(files)} files: nothing to measure")
        metrics = json.loads(io_utils.read_string_file(metrics_path))
        if baseline:
            metrics[BASELINE] = baseline | (metrics[BASELINE] or {})
        reasons = reasons_against(metrics, config)
        metrics |= {
            **json.loads(io_utils.read_string_file(variants_path)),
            MODEL: asdict(description),
            "split": config.split,
            "blessed": not reasons,
            "reasons": reasons,
        }
        io_utils.write_string_file(metrics_path, json.dumps(metrics, indent=2, allow_nan=False))
        _mark(blessing, model, baseline_dir, blessed=not reasons)
        if reasons:
            logging.warning("The candidate is NOT blessed: %s", "; ".join(reasons))
        else:
            logging.info("The candidate is blessed: PSNR %.2f dB", metrics["psnr_db"])


def _served_model(base_path: str) -> dict[str, Any] | None:
    """Find the model served now. One that cannot be used is reported and ignored: it must not hold up its successor."""
    try:
        newest = newest_version(base_path) if base_path else None
    except tf.errors.OpError as error:
        logging.warning("%s cannot be read, the candidate is compared with nothing: %s", base_path, error)
        return {"path": base_path, "error": str(error)}
    if newest is None:
        logging.info("No model is served from %r yet: the candidate is compared with gray only", base_path)
        return None
    found = {"version": newest.number, "path": newest.path}
    try:
        return found | asdict(SavedColorizer(newest.path).description)
    except TintypeError as error:
        logging.warning("The served version %d is left out of the comparison: %s", newest.number, error)
        return found | {"error": str(error)}


class _Measure(beam.DoFn):
    """Batches of Photograph -> (label, metrics of one photo), and the same once more under the key None for all."""

    def __init__(self, model_dir: str, baseline_dir: str | None):
        self._dirs = (model_dir, baseline_dir)
        # One copy of each model per process, however many threads run this.
        self._shared = tuple(Shared() for _ in self._dirs)

    def setup(self) -> None:
        self._model, self._baseline = (
            shared.acquire(lambda folder=folder: SavedColorizer(folder)) if folder else None
            for folder, shared in zip(self._dirs, self._shared, strict=True)
        )

    def process(self, batch: list[Photograph]) -> Iterable[tuple[str | None, dict[str, dict[str, float]]]]:
        measured = measure_photos(self._model, self._baseline, [photo.rgb for photo in batch])
        for photo, metrics in zip(batch, measured, strict=True):
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


def _mark(blessing: types.Artifact, model: types.Artifact, baseline_dir: str | None, *, blessed: bool) -> None:
    """Write what TFX's own Evaluator writes, so that whatever reads a ModelBlessing can read this one."""
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    if baseline_dir:
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline_dir)
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY,
        constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE,
    )
