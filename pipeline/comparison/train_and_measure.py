"""Trains one entry, measures it and colours the photographs of the grid; runs in a process of its own."""

import dataclasses
import statistics
import time
from pathlib import Path

import numpy as np

from components.evaluator.evaluation import evaluate_saved_model, predict_ab
from components.trainer.config import TrainerConfig
from photo.color import rgb_to_lightness
from pipeline.comparison.jobs import TrainingJob
from pipeline.comparison.measured_photographs import measured_photographs, write_pictures
from pipeline.comparison.result_files import RESULT_NAME, TRAINED_NAME, read_record, write_record
from pipeline.standalone_training import train_to_saved_model
from serving.model.saved_colorizer import SavedColorizer

_TIMED_SECONDS = 2.0


def train_and_measure(job: TrainingJob, folder: Path) -> None:
    """Train and measure one entry; a training that is done already is not repeated.

    Args:
        job: what to train, and what to measure it on.
        folder: gets `model`, `run`, `pictures`, trained.json when the training is done and result.json at the end.

    Raises:
        TintypeError: the training diverged, or there is nothing to measure.
    """
    config = TrainerConfig.model_validate(job.trainer_config)
    model = folder / "model"
    trained = read_record(folder / TRAINED_NAME)
    if trained.get("training_fingerprint") != job.training_fingerprint or not model.is_dir():
        summary = train_to_saved_model(config, Path(job.examples), run_folder=folder / "run", model_folder=model)
        trained = {
            "training_fingerprint": job.training_fingerprint,
            "training": dataclasses.asdict(summary),
        }
        write_record(folder / TRAINED_NAME, trained)

    metrics = evaluate_saved_model(str(model), measured_photographs(job), size=job.size, frechet=True)
    colorizer = SavedColorizer(str(model))
    result = {
        **trained,
        "fingerprint": job.fingerprint,
        "metrics": metrics,
        "pictures": write_pictures(
            job, lambda square: predict_ab(colorizer, rgb_to_lightness(square)[None])[0], folder
        ),
        "photo_milliseconds": _photo_milliseconds(colorizer),
        "model_bytes": sum(path.stat().st_size for path in model.rglob("*") if path.is_file()),
    }
    write_record(folder / RESULT_NAME, result)


def _photo_milliseconds(colorizer: SavedColorizer) -> float:
    """Return the median time that the serving signature takes for one photograph of the model's own size."""
    size = colorizer.description.size
    lightness = np.full((1, size, size, 1), 50, np.float32)
    took = []
    end = time.perf_counter() + _TIMED_SECONDS
    while (started := time.perf_counter()) < end:
        colorizer.predict_ab(lightness)
        took.append(time.perf_counter() - started)
    return 1000 * statistics.median(took)
