"""The client's share of colouring, before and after the network: pure functions, whoever carries the request."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from serving.client.color import rgb_to_lightness, write_rgb
from serving.client.geometry import Box, crop, fit_square
from serving.client.upsample import color_strips


@dataclass(frozen=True)
class Prepared:
    """A photograph on its way to the network.

    Attributes:
        square: L* for the network, float32 [S, S, 1], 0..100.
        box: where in the square the photograph lies: (top, left, height, width).
        lightness: L* at full size, float32 [H, W], 0..100.
        dtype: of the RGB that was given, and that `finish` will return.
    """

    square: NDArray[np.float32]
    box: Box
    lightness: NDArray[np.float32]
    dtype: DTypeLike


def prepare(rgb: NDArray, size: int) -> Prepared:
    """Take the lightness of a photograph and fit it into the square of a model.

    Args:
        rgb: [H, W, 3] sRGB, gray or in colour; uint8, uint16 or floating point in 0..1.
        size: the model's side, in pixels.
    """
    lightness = rgb_to_lightness(rgb)
    square, box = fit_square(lightness, size)
    return Prepared(np.ascontiguousarray(square[..., None]), box, lightness, rgb.dtype)


def finish(prepared: Prepared, ab: NDArray, strength: float = 1.0) -> NDArray:
    """Give a photograph the colour that the network found for its square.

    Args:
        prepared: what `prepare` returned.
        ab: a*b* for `prepared.square`, [S, S, 2], CIE units.
        strength: factor on the chroma: 0 is gray, 1 the network's colour, more is more vivid.

    Returns:
        [H, W, 3] sRGB at the photograph's size and dtype; its lightness is that of the photograph given to `prepare`.
    """
    # No colour is that vivid; but far larger numbers, which a model may give, would overflow on their way to sRGB.
    small = np.clip(np.float32(strength) * crop(ab, prepared.box).astype(np.float32), -1000, 1000)
    rgb = np.empty((*prepared.lightness.shape, 3), prepared.dtype)
    small_lightness = crop(prepared.square[..., 0], prepared.box)
    for rows, a, b in color_strips(small, small_lightness, prepared.lightness):
        write_rgb(prepared.lightness[rows], a, b, rgb[rows])
    return rgb
