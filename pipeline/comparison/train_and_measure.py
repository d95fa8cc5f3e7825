"""Trains one entry, measures it and colours the photographs of the grid; runs in a process of its own."""

import dataclasses
import hashlib
import heapq
import io
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from components.evaluator.evaluation import colored_row, evaluate_saved_model
from components.trainer.config import TrainerConfig
from components.trainer.decoded_photos import example_files
from photo.archives import FileEntry
from photo.decoding import Rgb, decode_photo
from photo.errors import PhotoError
from photo.whole_file import write_whole
from pipeline.comparison.result_files import RESULT_NAME, TRAINED_NAME, read_record, write_record
from pipeline.comparison.training_job import TrainingJob
from pipeline.standalone_training import train_to_saved_model
from serving.model.saved_colorizer import SavedColorizer

PICTURES_NAME = "pictures"
# Chooses the photographs of the grid, the same for every entry.
_GRID_SEED = 0
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

    metrics = evaluate_saved_model(str(model), _photographs(job), size=job.size, frechet=True)
    colorizer = SavedColorizer(str(model))
    result = {
        **trained,
        "fingerprint": job.fingerprint,
        "metrics": metrics,
        "pictures": _color_pictures(job, colorizer, folder / PICTURES_NAME),
        "photo_milliseconds": _photo_milliseconds(colorizer),
        "model_bytes": sum(path.stat().st_size for path in model.rglob("*") if path.is_file()),
    }
    write_record(folder / RESULT_NAME, result)


def _photographs(job: TrainingJob) -> Iterator[tuple[str, bytes]]:
    """Label and encoded bytes of each photograph that is measured."""
    if job.test_data is not None:
        from serving.batch.file_systems import find_photographs, read_photographs

        entries = (found for found in find_photographs(job.test_data) if isinstance(found, FileEntry))
        for entry, content in read_photographs(entries):
            if not isinstance(content, PhotoError):
                yield Path(entry.name).parent.name, content
        return
    files = example_files(job.measured_examples, "eval")
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        label = features["image/label"].bytes_list.value
        yield label[0].decode() if label else "", features["image/encoded"].bytes_list.value[0]


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


def _color_pictures(job: TrainingJob, colorizer: SavedColorizer, folder: Path) -> list[dict[str, str]]:
    """Write the photographs of the grid gray, coloured and true. Returns the files of each row, below the entry."""
    shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for row, photo in enumerate(_grid_photos(job)):
        files = {}
        for name, picture in zip(("gray", "colored", "true"), colored_row(colorizer, photo, job.size), strict=True):
            files[name] = f"{PICTURES_NAME}/{row}_{name}.png"
            png = io.BytesIO()
            Image.fromarray(picture).save(png, "PNG")
            write_whole(folder.parent / files[name], png.getvalue())
        rows.append(files)
    return rows


def _grid_photos(job: TrainingJob) -> list[Rgb]:
    """Choose by a hash of the content: the same photographs for every entry, in whatever order they come."""
    draws = ((hashlib.sha256(b"%d" % _GRID_SEED + encoded).digest(), encoded) for _, encoded in _photographs(job))
    readable = ((draw, rgb) for draw, encoded in draws if (rgb := _decoded(encoded)) is not None)
    return [rgb for _, rgb in heapq.nsmallest(job.rows, readable, key=lambda drawn: drawn[0])]


def _decoded(encoded: bytes) -> Rgb | None:
    try:
        return decode_photo(encoded).rgb
    except PhotoError:
        return None
