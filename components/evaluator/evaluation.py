"""Measures a SavedModel on photographs, through its serving signature; no TFX and no Beam needed."""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.metrics import MetricSums, photo_metrics
from components.evaluator.variants import VARIANT_PHOTOS, VARIANTS_AB_DISTANCE, variants_ab_distance
from photo.color import join_lightness_and_color, rgb_to_lightness
from photo.decoding import Rgb, decode_photo
from photo.errors import PhotoError, TintypeError
from photo.geometry import centered_square, resize
from photo.sixteen_bit import to_eight_bits
from serving.model.saved_colorizer import SavedColorizer

MODEL, GRAYSCALE, BASELINE = "model", "grayscale", "baseline"
# SSIM looks through a window of this side.
SMALLEST_SIDE = 7


def square_photo(rgb: Rgb, size: int) -> NDArray[np.uint8]:
    """Bring a photo to the square a model is measured at: its largest centred square, resized.

    The network is trained on such crops; the padding that the client uses would count the padding's colours too.

    Args:
        rgb: sRGB, uint8 or uint16, [H, W, 3].
        size: side of the square in pixels. Area averaging where the photo shrinks, linear where it grows.

    Returns:
        uint8 [size, size, 3].
    """
    square = resize(np.ascontiguousarray(centered_square(rgb)), size, size)
    return to_eight_bits(square) if square.dtype == np.uint16 else square


def predict_ab(model: SavedColorizer, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let a model predict the colours of squares from their lightness, which it sees at its own size.

    Args:
        model: a loaded model.
        lightness: L*, float32 [N, S, S], 0..100, of any side S.

    Returns:
        float32 [N, S, S, 2], resized back from the model's size.
    """
    side, own = lightness.shape[1], model.description.size
    ab = model.predict_ab(np.stack([resize(square, own, own) for square in lightness])[..., None])
    return np.stack([resize(one, side, side) for one in ab])


def measure_photos(
    model: SavedColorizer, baseline: SavedColorizer | None, photos: Sequence[Rgb], *, size: int | None = None
) -> list[dict[str, dict[str, float]]]:
    """Measure one batch of photos, all at one size.

    Args:
        model: the model that is measured.
        baseline: the model it is compared with. It sees squares of its own size; its colours are resized to the
            squares that are measured.
        photos: sRGB, each [H, W, 3], uint8 or uint16, of any sizes.
        size: side in pixels of the squares that are measured, for figures that can be compared between models of
            different sizes; the model's own without it.

    Returns:
        Per photo the metrics of the model, of the uncoloured photo, and of the baseline where there is one.
    """
    size = size or model.description.size
    squares = [square_photo(photo, size) for photo in photos]
    predictions = {
        MODEL: predict_ab(model, rgb_to_lightness(np.stack(squares))),
        GRAYSCALE: np.zeros((len(squares), size, size, 2), np.float32),
    }
    if baseline is not None:
        own = np.stack([square_photo(photo, baseline.description.size) for photo in photos])
        predictions[BASELINE] = np.stack([resize(ab, size, size) for ab in predict_ab(baseline, rgb_to_lightness(own))])
    return [
        {source: photo_metrics(square, ab[index]) for source, ab in predictions.items()}
        for index, square in enumerate(squares)
    ]


def colored_row(
    model: SavedColorizer, photo: Rgb, size: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one photo gray, coloured by the model, and in its true colours, uint8 [size, size, 3] each.

    Without `size`, at the model's own.
    """
    size = size or model.description.size
    truth = square_photo(photo, size)
    lightness = rgb_to_lightness(truth)
    gray = join_lightness_and_color(lightness, np.zeros((size, size, 2), np.float32))
    ab = np.nan_to_num(predict_ab(model, lightness[None])[0], posinf=0.0, neginf=0.0)
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
    model_dir: str,
    photos: Iterable[tuple[str, bytes]],
    *,
    baseline_dir: str | None = None,
    batch_size: int = 16,
    size: int | None = None,
) -> dict[str, Any]:
    """Measure a SavedModel on encoded photographs.

    Args:
        model_dir: the folder of `saved_model.pb`.
        photos: label and encoded bytes of each; one that cannot be decoded is logged and left out.
        baseline_dir: another SavedModel to measure on the same photos.
        batch_size: photos per call of the model.
        size: side in pixels of the squares that are measured, at least SMALLEST_SIDE; the model's own without it.

    Returns:
        What `summarize` returns, under `model` the model's description, under `size` the side that was measured, and
        under `variants_ab_distance` how much several colourings of the first photos differ.

    Raises:
        TintypeError: a model cannot be used, or no photo could be.
        ValueError: `size` is smaller than SMALLEST_SIDE.
    """
    if size is not None and size < SMALLEST_SIDE:
        raise ValueError(f"the squares that are measured need sides of at least {SMALLEST_SIDE} pixels, got {size}")
    model = SavedColorizer(model_dir)
    baseline = SavedColorizer(baseline_dir) if baseline_dir else None
    total = MetricSums()
    by_label: dict[str, MetricSums] = {}
    varied: list[NDArray[np.float32]] = []
    decoded = _decoded(photos)
    while batch := list(itertools.islice(decoded, batch_size)):
        measured = measure_photos(model, baseline, [rgb for _, rgb in batch], size=size)
        for (label, rgb), metrics in zip(batch, measured, strict=True):
            if len(varied) < VARIANT_PHOTOS:
                varied.append(rgb_to_lightness(square_photo(rgb, model.description.size)))
            total.add(metrics)
            by_label.setdefault(label, MetricSums()).add(metrics)
    if not total.count:
        raise TintypeError("there is nothing to measure: no photograph could be read")
    return summarize(by_label, total) | {
        MODEL: asdict(model.description),
        "size": size or model.description.size,
        VARIANTS_AB_DISTANCE: variants_ab_distance(model, varied),
    }


def _decoded(photos: Iterable[tuple[str, bytes]]) -> Iterable[tuple[str, Rgb]]:
    for label, encoded in photos:
        try:
            yield label, decode_photo(encoded).rgb
        except PhotoError as error:
            logging.warning("A photograph of %r is left out: %s", label, error)
