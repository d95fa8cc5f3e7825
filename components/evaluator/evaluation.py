"""Measures a SavedModel on photographs, through its serving signature; no TFX and no Beam needed."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.evaluator.frechet import (
    MOST_PHOTOS,
    PictureFeatures,
    frechet_figures,
    has_imagenet_weights,
    picture_features,
)
from components.evaluator.metrics import MetricSums, photo_metrics
from components.evaluator.robustness import aged_lightness
from components.evaluator.sample import Sample, measure_sample
from components.evaluator.skin import THIRDS, skin_lightness, thirds
from photo.color import GRAY_COLORFULNESS, colorfulness, join_lightness_and_color, rgb_to_lightness
from photo.decoding import Rgb, decode_photo
from photo.errors import TintypeError, fault_of_photo
from photo.geometry import centered_square, resize
from photo.sixteen_bit import to_eight_bits
from serving.model.saved_colorizer import SavedColorizer

MODEL, GRAYSCALE, BASELINE, SPOILED = "model", "grayscale", "baseline", "spoiled"
SPOIL_SEED, SKIN = "spoil_seed", "skin"
# The metrics of one photo by whose prediction they are of.
PhotoMetrics = dict[str, dict[str, float]]
# A square in true colours, uint8 [S, S, 3] -> a*b*, float32 [S, S, 2].
ColorSquare = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Measured(NamedTuple):
    """One batch.

    Attributes:
        metrics: of each photo.
        squares: the true photos that were measured, uint8 [N, S, S, 3].
        ab: what the model predicts for them, float32 [N, S, S, 2].
    """

    metrics: list[PhotoMetrics]
    squares: NDArray[np.uint8]
    ab: NDArray[np.float32]


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
    model: SavedColorizer,
    baseline: SavedColorizer | None,
    photos: Sequence[Rgb],
    *,
    size: int | None = None,
    spoil_seed: int | None = None,
) -> Measured:
    """Measure one batch of photos, all at one size.

    Args:
        model: the model that is measured.
        baseline: the model it is compared with. It sees squares of its own size; its colours are resized to the
            squares that are measured.
        photos: sRGB, each [H, W, 3], uint8 or uint16, of any sizes.
        size: side in pixels of the squares that are measured, for figures that can be compared between models of
            different sizes; the model's own without it.
        spoil_seed: measures the model also on gray that is aged by this seed (see `robustness.aged_lightness`). The
            colours that it finds there are joined with the photo's own lightness, as its other colours are.

    Returns:
        The metrics of each photo, of the model, of the uncoloured photo, of the baseline where there is one, and of
        the model on spoiled gray where that is asked for; and what they were measured on.
    """
    size = size or model.description.size
    squares = np.stack([square_photo(photo, size) for photo in photos])
    predictions = {
        MODEL: predict_ab(model, rgb_to_lightness(squares)),
        GRAYSCALE: np.zeros((len(squares), size, size, 2), np.float32),
    }
    if spoil_seed is not None:
        predictions[SPOILED] = predict_ab(model, aged_lightness(squares, spoil_seed))
    if baseline is not None:
        own = np.stack([square_photo(photo, baseline.description.size) for photo in photos])
        predictions[BASELINE] = np.stack([resize(ab, size, size) for ab in predict_ab(baseline, rgb_to_lightness(own))])
    metrics = [
        {source: photo_metrics(square, ab[index]) for source, ab in predictions.items()}
        for index, square in enumerate(squares)
    ]
    return Measured(metrics, squares, predictions[MODEL])


def colored_row(
    model: SavedColorizer, photo: Rgb, size: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one photo gray, coloured by the model, and in its true colours, uint8 [size, size, 3] each.

    Without `size`, at the model's own.
    """
    return picture_row(
        lambda square: predict_ab(model, rgb_to_lightness(square)[None])[0], photo, size or model.description.size
    )


def picture_row(
    color: ColorSquare, photo: Rgb, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one photo gray, as `color` colours its square, and in its true colours, uint8 [size, size, 3] each."""
    truth = square_photo(photo, size)
    lightness = rgb_to_lightness(truth)
    gray = join_lightness_and_color(lightness, np.zeros((size, size, 2), np.float32))
    ab = np.nan_to_num(color(truth), posinf=0.0, neginf=0.0)
    return gray, join_lightness_and_color(lightness, ab), truth


def summarize(sums: dict[str, MetricSums], total: MetricSums) -> dict[str, Any]:
    """Write the means of a whole evaluation in the form that every metrics JSON has.

    Args:
        sums: by label of the photos.
        total: over all photos.

    Returns:
        METRICS and `n_images`, the same under `grayscale`; `n_not_finite`, photos with a prediction that is not
        finite; under `labels` the metrics of each label; under `baseline` those of the baseline, None without one
        (within a label they are there only with one); and where gray was spoiled, under `spoiled` the metrics there
        and `gain_lost_db`, what the PSNR loses by it.
    """

    return {
        BASELINE: None,
        **_means(total),
        "n_not_finite": total.not_finite(MODEL),
        "labels": {label: _means(group) for label, group in sorted(sums.items())},
    }


def with_frechet(metrics: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    """Return metrics as `summarize` gives them with the figures of `frechet.frechet_figures`."""
    return metrics | figures | {GRAYSCALE: metrics[GRAYSCALE] | figures[GRAYSCALE]}


def _means(group: MetricSums) -> dict[str, Any]:
    figures = group.means(MODEL)
    found = {**figures, GRAYSCALE: group.means(GRAYSCALE)}
    if BASELINE in group.sums:
        found[BASELINE] = group.means(BASELINE)
    if SPOILED in group.sums:
        spoiled = group.means(SPOILED)
        found[SPOILED] = spoiled | {"gain_lost_db": figures["psnr_db"] - spoiled["psnr_db"]}
    return found


def evaluate_saved_model(
    model_dir: str,
    photos: Iterable[tuple[str, bytes]],
    *,
    baseline_dir: str | None = None,
    batch_size: int = 16,
    size: int | None = None,
    spoil_seed: int | None = None,
    by_skin: bool = False,
    frechet: bool = False,
) -> dict[str, Any]:
    """Measure a SavedModel on encoded photographs.

    Args:
        model_dir: the folder of `saved_model.pb`.
        photos: label and encoded bytes of each; one that cannot be decoded, or is gray itself, is logged and left out.
        baseline_dir: another SavedModel to measure on the same photos.
        batch_size: photos per call of the model.
        size: side in pixels of the squares that are measured, at least SMALLEST_SIDE; the model's own without it.
        spoil_seed: measures also on gray that is aged by this seed.
        by_skin: the photos are portraits, and are measured also in thirds by lightness of skin.
        frechet: measures also how far the collection is from the true one, where the extra `pretrained` is installed.

    Returns:
        What `summarize` returns, under `model` the model's description, under `size` the side that was measured, under
        `n_gray_left_out` how many photos were gray, and what `sample.measure_sample` finds; where asked for, else None,
        under `spoil_seed` the seed, under `skin` the metrics of each third with its range of `skin_lightness` (see
        `skin.skin_lightness`; photos without skin are in none), and what `frechet.frechet_figures` finds.

    Raises:
        TintypeError: a model cannot be used, or no photo could be, or all photos are gray.
        ValueError: `size` is smaller than SMALLEST_SIDE.
    """
    if size is not None and size < SMALLEST_SIDE:
        raise ValueError(f"the squares that are measured need sides of at least {SMALLEST_SIDE} pixels, got {size}")
    model = SavedColorizer(model_dir)
    baseline = SavedColorizer(baseline_dir) if baseline_dir else None
    size = size or model.description.size
    tally = _Tally(by_skin=by_skin, with_features=frechet)
    sample = Sample()
    colored = _ColoredPhotos(photos)
    remaining = iter(colored)
    while batch := list(itertools.islice(remaining, batch_size)):
        rgbs = [rgb for _, rgb in batch]
        tally.add(
            [label for label, _ in batch], measure_photos(model, baseline, rgbs, size=size, spoil_seed=spoil_seed)
        )
        for rgb in rgbs:
            sample.add(square_photo(rgb, model.description.size))
    if not tally.total.count:
        raise colored.nothing_to_measure()
    return tally.report() | {
        MODEL: asdict(model.description),
        "size": size,
        "n_gray_left_out": colored.left_out_gray,
        SPOIL_SEED: spoil_seed,
        **measure_sample(model, sample.squares()),
    }


def evaluate_coloring(
    color: ColorSquare,
    photos: Iterable[tuple[str, bytes]],
    *,
    size: int,
    frechet: bool = False,
) -> dict[str, Any]:
    """Measure what is no SavedModel with the figures of one.

    Args:
        color: gives the a*b* for a square, of whose true colours it may use what its method is given.
        photos, size, frechet: as for `evaluate_saved_model`.

    Returns:
        What `summarize` returns, `size`, `n_gray_left_out`, and what `frechet.frechet_figures` finds.

    Raises:
        TintypeError: no photo could be used.
    """
    tally = _Tally(by_skin=False, with_features=frechet)
    colored = _ColoredPhotos(photos)
    for label, rgb in colored:
        square = square_photo(rgb, size)
        ab = color(square)
        metrics = {MODEL: photo_metrics(square, ab), GRAYSCALE: photo_metrics(square, np.zeros_like(ab))}
        tally.add([label], Measured([metrics], square[None], ab[None]))
    if not tally.total.count:
        raise colored.nothing_to_measure()
    return tally.report() | {"size": size, "n_gray_left_out": colored.left_out_gray}


class _Tally:
    """What is kept of every batch, and the report of it all."""

    def __init__(self, *, by_skin: bool, with_features: bool):
        self.total = MetricSums()
        self._by_label: dict[str, MetricSums] = {}
        self._portraits: list[tuple[float, PhotoMetrics]] | None = [] if by_skin else None
        self._features: list[PictureFeatures] | None = [] if with_features and has_imagenet_weights() else None

    def add(self, labels: Sequence[str], measured: Measured) -> None:
        for label, metrics, square in zip(labels, measured.metrics, measured.squares, strict=True):
            self.total.add(metrics)
            self._by_label.setdefault(label, MetricSums()).add(metrics)
            if self._portraits is not None and (lightness := skin_lightness(square)) is not None:
                self._portraits.append((lightness, metrics))
        if self._features is not None and self.total.count <= MOST_PHOTOS:
            self._features.append(picture_features(measured.squares, measured.ab))

    def report(self) -> dict[str, Any]:
        found = summarize(self._by_label, self.total)
        found[SKIN] = None if self._portraits is None else _by_skin(self._portraits)
        return with_frechet(found, frechet_figures(self._features or []))


class _ColoredPhotos:
    """Label and pixels of each photograph that has colours to compare with; gray ones are counted."""

    def __init__(self, photos: Iterable[tuple[str, bytes]]):
        self.left_out_gray = 0
        self._photos = iter(photos)

    def nothing_to_measure(self) -> TintypeError:
        """What is to be said when none is left."""
        why = f": all {self.left_out_gray} are gray themselves" if self.left_out_gray else " could be read"
        return TintypeError(f"there is nothing to measure: no photograph{why}")

    def __iter__(self) -> Iterator[tuple[str, Rgb]]:
        for label, encoded in self._photos:
            try:
                rgb = decode_photo(encoded).rgb
            except Exception as error:
                logging.warning("A photograph of %r is left out: %s", label, fault_of_photo(error))
                continue
            if colorfulness(rgb) < GRAY_COLORFULNESS:
                self.left_out_gray += 1
                logging.info("A photograph of %r is left out: it is gray, no colours can be compared", label)
                continue
            yield label, rgb


def _by_skin(portraits: Sequence[tuple[float, PhotoMetrics]]) -> dict[str, Any]:
    """Metrics of the portraits by lightness of skin, and the L* at which each group begins and ends."""
    groups = {}
    for name, places in zip(THIRDS, thirds([lightness for lightness, _ in portraits]), strict=True):
        if not len(places):
            continue
        sums = MetricSums()
        for place in places:
            sums.add(portraits[place][1])
        lightness = [round(portraits[place][0], 1) for place in (places[0], places[-1])]
        groups[name] = _means(sums) | {"skin_lightness": lightness}
    return groups
