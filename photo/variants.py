"""Which of several colourings of a photograph differ so much that a person sees it."""

import numpy as np
from numpy.typing import NDArray

from photo.geometry import content_box, crop

VISIBLE_DISTANCE = 2.3
"""The just noticeable difference of colours in CIE units (Mahy et al. 1994); here of the mean over a photograph."""


def visibly_different(ab: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return the colourings that differ from every earlier one by VISIBLE_DISTANCE or more; the first always stays.

    Args:
        ab: a*b* of each, for the square of the photograph, float32 [N, S, S, 2].
        height, width: of the photograph, in pixels; what pads it to a square does not count.
    """
    kept: list[int] = []
    contents = [crop(one, content_box(height, width, one.shape[0])) for one in ab]
    for number, one in enumerate(contents):
        if all(np.linalg.norm(one - contents[other], axis=-1).mean() >= VISIBLE_DISTANCE for other in kept):
            kept.append(number)
    return ab[kept]
