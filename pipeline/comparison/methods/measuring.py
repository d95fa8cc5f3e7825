"""Measures a method that trains nothing, on the photographs that the entries are measured on."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.evaluator.content import content_number
from components.evaluator.evaluation import ColorSquare, evaluate_coloring, square_photo
from components.evaluator.hint_curve import HINT_COUNTS, hint_curve, random_hints
from components.evaluator.metric_rows import HINT_CURVE
from components.evaluator.sample import Sample
from components.trainer.decoded_photos import example_files
from photo.color import rgb_to_lab, rgb_to_lightness
from photo.decoding import decode_photo
from photo.geometry import resize
from photo.reference_colors import ReferenceColors, reference_colors, transfer_colors
from pipeline.comparison.jobs import MethodJob
from pipeline.comparison.measured_photographs import measured_photographs, write_pictures
from pipeline.comparison.methods.levin import spread_scribbles
from pipeline.comparison.methods.names import LEVIN_HINTS, Method
from pipeline.comparison.result_files import RESULT_NAME, write_record

# A person would choose the reference; here it is the most alike of so many training photographs, in so small a gray.
_MOST_REFERENCES = 2000
_THUMBNAIL = 16


def measure_method(job: MethodJob, folder: Path) -> None:
    """Measure a method as entries are measured.

    Args:
        job: which method, and what to measure it on.
        folder: gets `pictures` and result.json.

    Raises:
        TintypeError: there is nothing to measure.
    """
    is_levin = job.method == Method.LEVIN
    color = _by_true_hints if is_levin else _by_most_alike(job)
    sample, seconds = Sample(), list[float]()

    def noted(square: NDArray[np.uint8]) -> NDArray[np.float32]:
        started = time.perf_counter()
        ab = color(square)
        seconds.append(time.perf_counter() - started)
        sample.add(square)
        return ab

    metrics = evaluate_coloring(noted, measured_photographs(job), size=job.size, frechet=True)
    result: dict[str, Any] = {
        "fingerprint": job.fingerprint,
        "metrics": metrics | ({HINT_CURVE: hint_curve(_spread, sample.squares())} if is_levin else {}),
        "pictures": write_pictures(job, color, folder),
        "photo_milliseconds": 1000 * float(np.median(seconds)),
    }
    write_record(folder / RESULT_NAME, result)


def _by_true_hints(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Levin et al. with LEVIN_HINTS patches in their true colours, drawn by the photograph's content."""
    lab = rgb_to_lab(square)
    hints = random_hints(lab[..., 1:], np.random.default_rng(content_number(square)))
    return spread_scribbles(lab[..., 0], hints[HINT_COUNTS.index(LEVIN_HINTS)])


def _spread(lightness: NDArray[np.float32], hints: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([spread_scribbles(one[..., 0], given) for one, given in zip(lightness, hints, strict=True)])


def _by_most_alike(job: MethodJob) -> ColorSquare:
    """Welsh et al. with the colours of the training photograph that is most alike in gray."""
    thumbnails, references = _references(job)

    def color(square: NDArray[np.uint8]) -> NDArray[np.float32]:
        lightness = rgb_to_lightness(square)
        distances = np.square(thumbnails - _thumbnail(lightness)).mean(axis=(1, 2))
        return transfer_colors(lightness, references[int(distances.argmin())])

    return color


def _references(job: MethodJob) -> tuple[NDArray[np.float32], list[ReferenceColors]]:
    thumbnails, references = [], []
    records = tf.data.TFRecordDataset(example_files(job.examples, "train"), compression_type="GZIP")
    for record in records.take(_MOST_REFERENCES).as_numpy_iterator():
        encoded = tf.train.Example.FromString(record).features.feature["image/encoded"].bytes_list.value[0]
        lab = rgb_to_lab(square_photo(decode_photo(encoded).rgb, job.size))
        thumbnails.append(_thumbnail(np.ascontiguousarray(lab[..., 0])))
        references.append(reference_colors(lab))
    return np.stack(thumbnails), references


def _thumbnail(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    small = resize(lightness, _THUMBNAIL, _THUMBNAIL)
    return np.asarray(small - small.mean(), np.float32)
