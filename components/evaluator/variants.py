"""How much the plausible colourings of one photo differ, and how good the worst and the best of them are."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.metrics import photo_metrics
from photo.color import rgb_to_lightness
from serving.model.saved_colorizer import SavedColorizer

VARIANTS = "variants"  # their name in a metrics JSON

COLORINGS = 4


def measure_variants(model: SavedColorizer, squares: Sequence[NDArray[np.uint8]]) -> dict[str, Any] | None:
    """Measure the colourings of each photo that the seeds 0 to COLORINGS - 1 stand for.

    Args:
        model: a loaded model.
        squares: true photographs at the model's size, sRGB uint8 [S, S, 3].

    Returns:
        None for a model that gives one colouring only, and without photos; else means over the photos:
        ab_distance: between two colourings of one photo, CIE units: Euclidean in the a*b* plane, over pixels and pairs.
            The measure is that of Zhu et al., "Toward multimodal image-to-image translation" (2017), with this distance
            in place of a learned one.
        worst_delta_e_2000, grayscale_delta_e_2000: CIEDE2000 from the truth of the worst colouring, and of none.
        best_psnr_db, psnr_db: of the best colouring, and of the one that is served.
    """
    if not model.varies or not len(squares):
        return None
    rows = [_of_one_photo(model, square) for square in squares]
    return {"n_images": len(rows), **{name: float(np.mean([row[name] for row in rows])) for name in rows[0]}}


def _of_one_photo(model: SavedColorizer, square: NDArray[np.uint8]) -> dict[str, float]:
    lightness = rgb_to_lightness(square)[None, ..., None]
    ab = model.predict_variants(np.repeat(lightness, COLORINGS, axis=0), np.arange(COLORINGS, dtype=np.int32))
    each = [photo_metrics(square, one) for one in ab]
    return {
        "ab_distance": _mean_pairwise_distance(ab),
        "worst_delta_e_2000": max(one["delta_e_2000"] for one in each),
        "grayscale_delta_e_2000": photo_metrics(square, np.zeros_like(ab[0]))["delta_e_2000"],
        "best_psnr_db": max(one["psnr_db"] for one in each),
        "psnr_db": photo_metrics(square, model.predict_ab(lightness)[0])["psnr_db"],
    }


def _mean_pairwise_distance(ab: NDArray[np.float32]) -> float:
    pairs = itertools.combinations(ab, 2)
    return float(np.mean([np.linalg.norm(one - other, axis=-1).mean() for one, other in pairs]))
