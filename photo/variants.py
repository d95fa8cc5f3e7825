"""Which of several colourings of a photograph differ so much that a person sees it."""

import numpy as np
from numpy.typing import NDArray

VISIBLE_DISTANCE = 2.3
"""The just noticeable difference of colours in CIE units (Mahy et al. 1994); here of the mean over a photograph."""


def visibly_different(ab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colourings that differ from every earlier one by VISIBLE_DISTANCE or more; the first always stays.

    Args:
        ab: a*b* of each, float32 [N, H, W, 2].
    """
    kept: list[int] = []
    for number, one in enumerate(ab):
        if all(np.linalg.norm(one - ab[other], axis=-1).mean() >= VISIBLE_DISTANCE for other in kept):
            kept.append(number)
    return ab[kept]
