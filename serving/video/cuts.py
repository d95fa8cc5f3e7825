"""Tells where a film cuts from one shot to the next."""

import cv2
import numpy as np
from numpy.typing import NDArray

# Correlation of two frames' lightness at 32 pixels, below which nothing of the one is left in the other. A flash or a
# fade changes exposure, which correlation does not see.
_LEAST_CORRELATION = 0.5
_SIDE = 32


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Return whether a new shot begins.

    Args:
        before: L*, float32 [H, W].
        after: L* of the next frame, of the same shape.
    """
    one, two = (cv2.resize(each, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).ravel() for each in (before, after))
    one, two = one - one.mean(), two - two.mean()
    size = float(np.linalg.norm(one) * np.linalg.norm(two))
    # A frame of one shade (a flash, black between scenes) says nothing; what is beside it is compared to it.
    if size < _SIDE * _SIDE:
        return False
    return float(one @ two) / size < _LEAST_CORRELATION
