"""Measures a SavedModel on photographs, through its serving signature; no TFX and no Beam needed."""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.metrics import MetricSums, photo_metrics
from components.evaluator.saved_colorizer import SavedColorizer
from serving.client.color import join_lightness_and_color, rgb_to_lightness
from serving.client.errors import PhotoError, TintypeError
from serving.client.geometry import resize
from serving.client.photo import decode_photo

MODEL, GRAYSCALE, BASELINE = "model", "grayscale", "baseline"


def square_photo(rgb: NDArray, size: int) -> NDArray[np.uint8]:
    """Bring a photo to the square a model is measured at: its largest centred square, resized.

    The network is trained on such crops; the padding that the client uses would count the padding's colours too.

    Args:
        rgb: sRGB, uint8 or uint16, [H, W, 3].
        size: side of the square in pixels. Area averaging where the photo shrinks, linear where it grows.

    Returns:
        uint8 [size, size, 3].
    """
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = resize(np.ascontiguousarray(rgb[top : top + side, left : left + side]), size, size)
    if square.dtype == np.uint16:
        return np.round(square / 257.0).astype(np.uint8)
    return square


def predict_ab(model: SavedColorizer, photos: Sequence[NDArray], size: int) -> NDArray[np.float32]:
    """Let a model predict the colours of photos from their lightness, at the model's own size.

    Args:
        model: a loaded model.
        photos: sRGB, each [H, W, 3], uint8 or uint16, of any sizes.
        size: side that the colours are resized to.

    Returns:
        float32 [N, size, size, 2].
    """
    squares = np.stack([square_photo(photo, model.description.size) for photo in photos])
    ab = model.predict_ab(rgb_to_lightness(squares)[..., None])
    return np.stack([resize(one, size, size) for one in ab])


def measure_photos(
    model: SavedColorizer, baseline: SavedColorizer | None, photos: Sequence[NDArray]
) -> list[dict[str, dict[str, float]]]:
    """Measure one batch of photos, all at the size of `model`.

    Args:
        model: the model that is measured.
        baseline: the model it is compared with. It sees squares of its own size; its colours are resized to the
            squares of `model`.
        photos: sRGB, each [H, W, 3], uint8 or uint16, of any sizes.

    Returns:
        Per photo the metrics of the model, of the uncoloured photo, and of the baseline where there is one.
    """
    size = model.description.size
    squares = [square_photo(photo, size) for photo in photos]
    predictions = {
        MODEL: predict_ab(model, squares, size),
        GRAYSCALE: np.zeros((len(squares), size, size, 2), np.float32),
    }
    if baseline is not None:
        predictions[BASELINE] = predict_ab(baseline, photos, size)
    return [
        {source: photo_metrics(square, ab[index]) for source, ab in predictions.items()}
        for index, square in enumerate(squares)
    ]


def colored_row(model: SavedColorizer, photo: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return one photo gray, coloured by the model, and in its true colours, uint8 [size, size, 3] each."""
    size = model.description.size
    truth = square_photo(photo, size)
    lightness = rgb_to_lightness(truth)
    gray = join_lightness_and_color(lightness, np.zeros((size, size, 2), np.float32))
    ab = np.nan_to_num(predict_ab(model, [truth], size)[0], posinf=0.0, neginf=0.0)
    return gray, join_lightness_and_color(lightness, ab), truth


def summarize(sums: dict[str, MetricSums], total: MetricSums) -> dict[str, Any]:
    """Write the means of a whole evaluation in the form that every metrics JSON has.

    Args:
        sums: by label of the photos.
        total: over all photos.

    Returns:
        METRICS and `n_images`, the same under `grayscale`; `n_not_finite`, photos with a prediction that is not
        finite; under `labels` the metrics of each label; under `baseline` those of the baseline, None without one.
    """

    def means(group: MetricSums) -> dict[str, Any]:
        return {**group.means(MODEL), GRAYSCALE: group.means(GRAYSCALE)}

    return {
        **means(total),
        "n_not_finite": total.not_finite(MODEL),
        "labels": {label: means(group) for label, group in sorted(sums.items())},
        BASELINE: total.means(BASELINE) if BASELINE in total.sums else None,
    }


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a metrics JSON for a person: name and value, each with that of the photographs left gray."""
    gray = metrics[GRAYSCALE]
    forms = {
        "psnr_db": ("PSNR", "{:.2f} dB"),
        "ssim": ("SSIM", "{:.3f}"),
        "delta_e_2000": ("CIEDE2000", "{:.2f}"),
        "ab_mae": ("ab error", "{:.2f}"),
        "accuracy_eps2": ("accuracy 2%", "{:.1%}"),
        "accuracy_eps5": ("accuracy 5%", "{:.1%}"),
    }
    rows = [
        (name, f"{form.format(metrics[key])}   (left gray: {form.format(gray[key])})")
        for key, (name, form) in forms.items()
    ]
    true = f"(the true photographs': {metrics['colorfulness_truth']:.1f})"
    return [*rows, ("colorfulness", f"{metrics['colorfulness']:.1f}   {true}")]


def evaluate_saved_model(
    model_dir: str, photos: Iterable[tuple[str, bytes]], *, baseline_dir: str | None = None, batch_size: int = 16
) -> dict[str, Any]:
    """Measure a SavedModel on encoded photographs.

    Args:
        model_dir: the folder of `saved_model.pb`.
        photos: label and encoded bytes of each; one that cannot be decoded is logged and left out.
        baseline_dir: another SavedModel to measure on the same photos.
        batch_size: photos per call of the model.

    Returns:
        What `summarize` returns, and under `model` the model's description.

    Raises:
        TintypeError: a model cannot be used, or no photo could be.
    """
    model = SavedColorizer(model_dir)
    baseline = SavedColorizer(baseline_dir) if baseline_dir else None
    total = MetricSums()
    by_label: dict[str, MetricSums] = {}
    decoded = _decoded(photos)
    while batch := list(itertools.islice(decoded, batch_size)):
        measured = measure_photos(model, baseline, [rgb for _, rgb in batch])
        for (label, _), metrics in zip(batch, measured, strict=True):
            total.add(metrics)
            by_label.setdefault(label, MetricSums()).add(metrics)
    if not total.count:
        raise TintypeError("there is nothing to measure: no photograph could be read")
    return summarize(by_label, total) | {MODEL: model.description._asdict()}


def _decoded(photos: Iterable[tuple[str, bytes]]) -> Iterable[tuple[str, NDArray]]:
    for label, encoded in photos:
        try:
            yield label, decode_photo(encoded).rgb
        except PhotoError as error:
            logging.warning("A photograph of %r is left out: %s", label, error)
