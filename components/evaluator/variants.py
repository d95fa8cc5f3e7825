"""How much the plausible colourings of one photo differ from each other."""

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from serving.model.saved_colorizer import SavedColorizer

VARIANTS_AB_DISTANCE = "variants_ab_distance"  # its name in a metrics JSON

VARIANTS = 4
# Enough for a mean that is steady; every photo costs VARIANTS colourings.
VARIANT_PHOTOS = 32


def variants_ab_distance(model: SavedColorizer, lightness: Iterable[NDArray[np.float32]]) -> float | None:
    """The mean distance in the a*b* plane between two colourings of one photo, over pixels, pairs and photos.

    The photos' colourings are those of the seeds 0 to VARIANTS - 1. The measure is that of Zhu et al., "Toward
    multimodal image-to-image translation" (2017), with the Euclidean distance of a*b* in place of a learned one.

    Args:
        model: a loaded model.
        lightness: L* of each photo at the model's size, float32 [S, S], 0..100.

    Returns:
        CIE units; None for a model that gives one colouring only, and without photos.
    """
    if not model.varies:
        return None
    distances = [_mean_pairwise_distance(_colorings(model, photo)) for photo in lightness]
    return float(np.mean(distances)) if distances else None


def _colorings(model: SavedColorizer, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = np.repeat(lightness[None, ..., None], VARIANTS, axis=0)
    return model.predict_variants(rows, np.arange(VARIANTS, dtype=np.int32))


def _mean_pairwise_distance(ab: NDArray[np.float32]) -> float:
    pairs = itertools.combinations(ab, 2)
    return float(np.mean([np.linalg.norm(one - other, axis=-1).mean() for one, other in pairs]))
