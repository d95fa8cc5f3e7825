"""How much better a photo is coloured, the more colours of it are given as hints."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.content import content_number
from components.evaluator.metrics import photo_metrics
from photo.color import rgb_to_lab
from serving.model.saved_colorizer import SavedColorizer

HINT_COUNTS = (0, 1, 2, 5, 10, 20, 50)
# Odd sides of the patches, as in training.
_LARGEST_PATCH = 9

Coloring = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


def measure_hints(model: SavedColorizer, squares: Sequence[NDArray[np.uint8]]) -> list[dict[str, Any]] | None:
    """Give each photo some of its own true colours as hints, and measure what the model makes of them.

    The protocol is that of Zhang et al., "Real-Time User-Guided Image Colorization" (2017): square patches anywhere,
    each in its mean colour. A photo's patches follow from its content, and fewer are the first of more.

    Args:
        model: a loaded model.
        squares: true photographs at the model's size, sRGB uint8 [S, S, 3].

    Returns:
        None for a model that takes no hints, and without photos; else for each of HINT_COUNTS the number of `hints` and
        the mean `psnr_db`.
    """
    return hint_curve(model.predict_ab, squares) if model.takes_hints else None


def hint_curve(color: Coloring, squares: Sequence[NDArray[np.uint8]]) -> list[dict[str, Any]] | None:
    """Measure as `measure_hints` does whatever colours photographs by hints: None without photos.

    Args:
        color: L*, float32 [N, S, S, 1], and hints [N, S, S, 3] -> a*b*, [N, S, S, 2].
        squares: true photographs, sRGB uint8 [S, S, 3].
    """
    if not len(squares):
        return None
    values = np.mean([_of_one_photo(color, square) for square in squares], axis=0)
    return [{"hints": hints, "psnr_db": float(value)} for hints, value in zip(HINT_COUNTS, values, strict=True)]


def _of_one_photo(color: Coloring, square: NDArray[np.uint8]) -> list[float]:
    lab = rgb_to_lab(square)
    hints = random_hints(lab[..., 1:], np.random.default_rng(content_number(square)))
    lightness = np.repeat(lab[None, ..., :1], len(hints), axis=0)
    return [photo_metrics(square, ab)["psnr_db"] for ab in color(lightness, hints)]


def random_hints(ab: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw hints from true colours.

    Args:
        ab: of one photo, float32 [H, W, 2].
        rng: decides places and sides.

    Returns:
        one map with as many hints as each of HINT_COUNTS says, float32 [len(HINT_COUNTS), H, W, 3], as
        `SavedColorizer.predict_ab` takes them.
    """
    height, width = ab.shape[:2]
    drawn = np.zeros((height, width, 3), np.float32)
    maps = []
    for number in range(max(HINT_COUNTS) + 1):
        if number in HINT_COUNTS:
            maps.append(drawn.copy())
        reach, row, column = rng.integers(_LARGEST_PATCH // 2 + 1), rng.integers(height), rng.integers(width)
        patch = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        drawn[patch] = [*ab[patch].mean(axis=(0, 1)), 1]
    return np.stack(maps)
