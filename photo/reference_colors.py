"""Colours of one photograph carried over to another by what alike places look like in gray (Welsh et al. 2002)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Welsh et al.: about 200 samples are enough.
_SAMPLES_ACROSS = 14
_WINDOW = 5
_LEAST_SPREAD = 1e-3
# Rows of distances at once, [pixels, samples], so that a large picture needs little memory.
_PIXELS_AT_ONCE = 16_384


@dataclass(frozen=True)
class ReferenceColors:
    """What a photograph looks like at some 200 places.

    Attributes:
        samples: float32 [n, 4]: L*, the standard deviation of L* in the window around, a*, b*.
        mean, spread: of L* over the whole photograph, and its standard deviation.
    """

    samples: NDArray[np.float32]
    mean: float
    spread: float


def reference_colors(lab: NDArray[np.float32], *, seed: int = 0) -> ReferenceColors:
    """Take samples of a photograph: one of each cell of a grid, at a place drawn within the cell.

    Args:
        lab: L*, a*, b*, [H, W, 3] in CIE units.
        seed: of the draw; the same samples each time.
    """
    height, width = lab.shape[:2]
    rng = np.random.default_rng(seed)
    cells = np.stack(np.meshgrid(*[np.arange(_SAMPLES_ACROSS)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    places = (cells + rng.random(cells.shape)) * [height / _SAMPLES_ACROSS, width / _SAMPLES_ACROSS]
    rows, columns = places.astype(int).T
    lightness = np.ascontiguousarray(lab[..., 0], np.float32)
    deviation = _deviation(lightness)
    samples = np.column_stack([lightness[rows, columns], deviation[rows, columns], lab[rows, columns, 1:]])
    return ReferenceColors(samples.astype(np.float32), float(lightness.mean()), float(lightness.std()))


def transfer_colors(lightness: NDArray[np.float32], reference: ReferenceColors) -> NDArray[np.float32]:
    """Give each pixel the colour of the sample that is most like it in gray.

    As Welsh, Ashikhmin and Mueller, "Transferring Color to Greyscale Images" (2002): the reference's lightness is
    brought to the mean and the spread of this photograph's, then the nearest sample in lightness and deviation, both
    counting one half, lends its colour.

    Args:
        lightness: L*, [H, W], 0..100.
        reference: of another photograph.

    Returns:
        a*b*, float32 [H, W, 2].
    """
    lightness = np.ascontiguousarray(lightness, np.float32)
    stretch = float(lightness.std()) / max(reference.spread, _LEAST_SPREAD)
    light = (reference.samples[:, 0] - reference.mean) * stretch + float(lightness.mean())
    deviation = reference.samples[:, 1] * stretch
    mine = np.column_stack([lightness.ravel(), _deviation(lightness).ravel()])
    nearest = np.empty(len(mine), np.intp)
    for start in range(0, len(mine), _PIXELS_AT_ONCE):
        part = mine[start : start + _PIXELS_AT_ONCE]
        distances = np.square(part[:, :1] - light) + np.square(part[:, 1:] - deviation)
        nearest[start : start + _PIXELS_AT_ONCE] = distances.argmin(axis=1)
    return reference.samples[nearest, 2:].reshape(*lightness.shape, 2)


def _deviation(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """The standard deviation of L* in the window around each pixel."""
    window = (_WINDOW, _WINDOW)
    mean = cv2.blur(lightness, window)
    return np.sqrt(np.maximum(cv2.blur(np.square(lightness), window) - np.square(mean), 0.0))
