"""Portraits in three groups by the lightness of skin, so that figures show whom a model colours worse.

What is measured is the lightness of skin-coloured pixels in a picture. It follows from a person's skin, and just as
much from light, exposure and make-up; wood and sand have such colours as well. It says nothing of who a person is, and
it is only used where each photograph is known to be a portrait. Nothing of it is kept with a photograph.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from photo.color import rgb_to_lab

THIRDS = ("darkest third", "middle third", "lightest third")

# In CIE L*a*b*, wide enough for measured skin of every origin (Xiao et al., "Characterising the variations in ethnic
# skin colours", 2017: hue angles of 40 to 75 degrees, chroma of 12 to 30) under the light of ordinary photographs.
_HUE_DEGREES = (20.0, 85.0)
_CHROMA = (8.0, 55.0)
_LIGHTNESS = (10.0, 95.0)
# Half axes of the middle, in sides of the square; of its pixels at least this share must be skin-coloured.
_MIDDLE = (0.35, 0.3)
_LEAST_SHARE = 0.2


def skin_lightness(square: NDArray[np.uint8]) -> float | None:
    """The median L* of the skin-coloured pixels in the middle of a portrait's true colours.

    The middle is an upright ellipse of 0.7 by 0.6 sides. A pixel is skin-coloured when its hue angle is 20 to 85
    degrees, its chroma 8 to 55 and its L* 10 to 95.

    Args:
        square: sRGB, uint8 [S, S, 3].

    Returns:
        0..100; None when under a fifth of the middle is skin-coloured.
    """
    place = np.linspace(-0.5, 0.5, square.shape[0])
    middle = np.square(place / _MIDDLE[0])[:, None] + np.square(place / _MIDDLE[1]) <= 1
    lab = rgb_to_lab(square)[middle]
    hue, chroma = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])), np.hypot(lab[:, 1], lab[:, 2])
    skin = _within(hue, _HUE_DEGREES) & _within(chroma, _CHROMA) & _within(lab[:, 0], _LIGHTNESS)
    return float(np.median(lab[skin, 0])) if skin.mean() >= _LEAST_SHARE else None


def thirds(lightness: Sequence[float]) -> list[NDArray[np.int64]]:
    """Three groups of equal size, but for one, from the darkest to the lightest: the photographs' places in each."""
    return np.array_split(np.argsort(lightness, kind="stable"), len(THIRDS))


def _within(values: NDArray[np.float32], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= bounds[0]) & (values <= bounds[1])
