"""A mark that everybody sees: small words in the lower right corner that say that a machine made the colours."""

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_WORDS = "AI colours"

# Height of the letters, of the picture's shorter side; and at least so many pixels, as fewer are no letters.
_SHARE, _FEWEST_PIXELS = 0.025, 9
# The largest share of the picture's sides that the mark may take.
_MOST = 0.9


def with_visible_mark(rgb: NDArray[Any]) -> NDArray[Any]:
    """Return a copy with the mark: white letters with a dark rim, legible on light and on dark.

    Args:
        rgb: [H, W, 3] sRGB; uint8, uint16 or floating point in 0..1. In a picture of less than some 70 pixels' width
            the letters are as large as it lets them be.
    """
    height, width = rgb.shape[:2]
    letters = _letters()
    scale = max(_FEWEST_PIXELS, _SHARE * min(height, width)) / letters.shape[0]
    scale = min(scale, _MOST * width / letters.shape[1], _MOST * height / letters.shape[0])
    size = max(1, round(scale * letters.shape[1])), max(1, round(scale * letters.shape[0]))
    rim = max(1, round(size[1] / 8))
    small = cv2.copyMakeBorder(
        cv2.resize(letters, size, interpolation=cv2.INTER_AREA), *(2 * rim,) * 4, cv2.BORDER_CONSTANT, value=0
    )
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    small = np.asarray(small, np.uint8)[-height:, -width:]
    marked = rgb.copy()
    corner = marked[height - small.shape[0] :, width - small.shape[1] :]
    _paint(corner, np.asarray(cv2.dilate(small, kernel), np.uint8), 0.0)
    _paint(corner, small, 1.0)
    return marked


@functools.cache
def _letters() -> NDArray[np.uint8]:
    """Return the words, 255 where their ink is, large and cropped: versions of OpenCV draw them differently."""
    canvas = np.zeros((300, 1600), np.uint8)
    cv2.putText(canvas, _WORDS, (100, 180), cv2.FONT_HERSHEY_SIMPLEX, 4.0, 255, 10, cv2.LINE_AA)
    left, top, width, height = cv2.boundingRect(canvas)
    return canvas[top : top + height, left : left + width]


def _paint(rgb: NDArray[Any], coverage: NDArray[np.uint8], shade: float) -> None:
    """Lay a shade of gray, 0..1, over the covered pixels, in place."""
    most = 1.0 if rgb.dtype.kind == "f" else float(np.iinfo(rgb.dtype).max)
    share = coverage[..., None] / 255.0
    mixed = rgb * (1 - share) + share * shade * most
    rgb[:] = mixed if rgb.dtype.kind == "f" else np.round(mixed).astype(rgb.dtype)
