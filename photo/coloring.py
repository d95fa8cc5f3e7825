"""The client's share of colouring, before and after the network: pure functions, whoever carries the request."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from photo.color import rgb_to_lightness, write_rgb
from photo.geometry import Box, crop, fit_square
from photo.tint import Tint, measure_tint
from photo.upsampling import color_strips


@dataclass(frozen=True)
class Prepared:
    """A photograph on its way to the network.

    Attributes:
        square: L* for the network, float32 [S, S, 1], 0..100.
        box: where in the square the photograph lies: (top, left, height, width).
        lightness: L* at full size, float32 [H, W], 0..100.
        dtype: of the RGB that was given, and that `finish` will return.
        tint: laid over the network's colour; None where there is none, or it is not to be kept.
    """

    square: NDArray[np.float32]
    box: Box
    lightness: NDArray[np.float32]
    dtype: DTypeLike
    tint: Tint | None = None


def prepare(rgb: NDArray[Any], size: int, *, keep_tint: bool = False) -> Prepared:
    """Take the lightness of a photograph and fit it into the square of a model.

    The lightness is CIE L*, so a photograph toned in sepia goes to the network as the gray one of the same light and
    shade; its tint is lost, or kept for `finish`.

    Args:
        rgb: [H, W, 3] sRGB, gray, toned or in colour; uint8, uint16 or floating point in 0..1.
        size: the model's side, in pixels.
        keep_tint: let `finish` lay the photograph's own tint over the colour; one in colour has none.
    """
    lightness = rgb_to_lightness(rgb)
    square, box = fit_square(lightness, size)
    tint = measure_tint(rgb) if keep_tint else None
    return Prepared(np.ascontiguousarray(square[..., None]), box, lightness, rgb.dtype, tint)


def finish(prepared: Prepared, ab: NDArray[Any], strength: float = 1.0) -> NDArray[Any]:
    """Give a photograph the colour that the network found for its square.

    Args:
        prepared: what `prepare` returned.
        ab: a*b* for `prepared.square`, [S, S, 2], CIE units.
        strength: factor on the chroma: 0 is gray, 1 the network's colour, more is more vivid. A tint that is kept stays
            as it is: with 0 the toned photograph comes back.

    Returns:
        [H, W, 3] sRGB at the photograph's size and dtype; its lightness is that of the photograph given to `prepare`.
    """
    # No colour is that vivid; but far larger numbers, which a model may give, would overflow on their way to sRGB.
    small = np.clip(np.float32(strength) * crop(ab, prepared.box).astype(np.float32), -1000, 1000)
    rgb = np.empty((*prepared.lightness.shape, 3), prepared.dtype)
    small_lightness = crop(prepared.square[..., 0], prepared.box)
    for rows, a, b in color_strips(small, small_lightness, prepared.lightness):
        if prepared.tint is not None:
            tint_a, tint_b = prepared.tint.of(prepared.lightness[rows])
            a, b = a + tint_a, b + tint_b
        write_rgb(prepared.lightness[rows], a, b, rgb[rows])
    return rgb
