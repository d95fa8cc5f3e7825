"""The work of the Evaluator: measures a candidate in a Beam job, draws it, and blesses it or says why not."""

import json
import os
from dataclasses import asdict
from typing import Any

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.evaluator.beam_job import Evaluation, evaluate
from components.evaluator.blessing import reasons_against
from components.evaluator.config import EvaluateConfig
from components.evaluator.evaluation import BASELINE, MODEL, with_frechet
from components.evaluator.examples import record_files
from photo.errors import TintypeError
from serving.model.saved_colorizer import SavedColorizer
from serving.model.version_folders import newest_version

METRICS_FILE = "metrics.json"
GRID_FILE = "grid.png"
SAMPLE_FILE = "sample.json"
FRECHET_FILE = "frechet.json"


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
        job = Evaluation(
            model_dir=model_dir,
            baseline_dir=baseline["path"] if baseline and "error" not in baseline else None,
            metrics_path=os.path.join(evaluation.uri, METRICS_FILE),
            grid_path=os.path.join(evaluation.uri, GRID_FILE),
            sample_path=os.path.join(evaluation.uri, SAMPLE_FILE),
            frechet_path=os.path.join(evaluation.uri, FRECHET_FILE),
        )
        fileio.makedirs(evaluation.uri)
        with self._make_beam_pipeline() as pipeline:
            evaluate(pipeline, files, job, config)

        if not fileio.exists(job.metrics_path):
            raise TintypeError(f"no photograph in the split {config.split!r} of {len(files)} files: nothing to measure")
        paths = (job.metrics_path, job.sample_path, job.frechet_path)
        measured, sample, frechet = (json.loads(io_utils.read_string_file(path)) for path in paths)
        metrics = with_frechet(measured, frechet) | sample
        if baseline:
            metrics[BASELINE] = baseline | (metrics[BASELINE] or {})
        reasons = reasons_against(metrics, config)
        metrics |= {
            MODEL: asdict(description),
            "split": config.split,
            "blessed": not reasons,
            "reasons": reasons,
        }
        io_utils.write_string_file(job.metrics_path, json.dumps(metrics, indent=2, allow_nan=False))
        _mark(blessing, model, job.baseline_dir, blessed=not reasons)
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
