"""The colours among which a photograph's distribution of colour is told: a grid in the plane of a* and b*.

After Zhang, Isola and Efros, "Colorful Image Colorization" (2016), who divide the plane into squares of side 10.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from photo.color import RGB_OF_RELATIVE_XYZ

# a* and b* of sRGB lie between -110 and 110; L* is tried in steps of 1.
_REACH, _LIGHTNESSES = 110, np.arange(101.0)


@functools.cache
def color_bins(spacing: int) -> NDArray[np.float32]:
    """The points of the grid that some lightness brings into sRGB's gamut: float32 [bins, 2], a* and b* in CIE units.

    Args:
        spacing: between neighbours, in CIE units; 0, 0 is a point of every grid.
    """
    steps = np.arange(-(_REACH // spacing), _REACH // spacing + 1) * float(spacing)
    a, b, lightness = np.meshgrid(steps, steps, _LIGHTNESSES, indexing="ij")
    y = (lightness + 16.0) / 116.0
    f = np.stack([y + a / 500.0, y, y - b / 200.0], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear = xyz @ RGB_OF_RELATIVE_XYZ.T
    # Gray itself is off by roundings.
    is_inside = ((linear > -1e-6) & (linear < 1 + 1e-6)).all(axis=-1).any(axis=-1)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)[is_inside].astype(np.float32)
