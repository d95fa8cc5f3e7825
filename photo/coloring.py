"""The client's share of colouring, before and after the network: pure functions, whoever carries the request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from photo.color import join_lightness_and_color, rgb_to_lab, rgb_to_lightness, write_rgb
from photo.geometry import Box, crop, fit_square, resize
from photo.hints import Hint
from photo.looks import in_palette
from photo.palette import AS_FOUND, Palette
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
        hints: colours that a person asks for.
    """

    square: NDArray[np.float32]
    box: Box
    lightness: NDArray[np.float32]
    dtype: DTypeLike
    tint: Tint | None = None
    hints: tuple[Hint, ...] = ()


def prepare(rgb: NDArray[Any], size: int, *, keep_tint: bool = False, hints: tuple[Hint, ...] = ()) -> Prepared:
    """Take the lightness of a photograph and fit it into the square of a model.

    The lightness is CIE L*, so a photograph toned in sepia goes to the network as the gray one of the same light and
    shade; its tint is lost, or kept for `finish`.

    Args:
        rgb: [H, W, 3] sRGB, gray, toned or in colour; uint8, uint16 or floating point in 0..1.
        size: the model's side, in pixels.
        keep_tint: let `finish` lay the photograph's own tint over the colour; one in colour has none.
        hints: for `hint_map`.
    """
    lightness = rgb_to_lightness(rgb)
    square, box = fit_square(lightness, size)
    tint = measure_tint(rgb) if keep_tint else None
    return Prepared(np.ascontiguousarray(square[..., None]), box, lightness, rgb.dtype, tint, hints)


def at_side(prepared: Prepared, size: int) -> Prepared:
    """Return the same photograph fitted into the square of another side."""
    if prepared.square.shape[0] == size:
        return prepared
    square, box = fit_square(prepared.lightness, size)
    return replace(prepared, square=np.ascontiguousarray(square[..., None]), box=box)


def cell_of(prepared: Prepared, x: float, y: float) -> tuple[int, int]:
    """Return row and column, in the square, of a place given as shares 0..1 of the photograph's width and height."""
    top, left, height, width = prepared.box
    return top + min(int(y * height), height - 1), left + min(int(x * width), width - 1)


def hint_map(prepared: Prepared) -> NDArray[np.float32]:
    """Draw the hints as the signature `guided` takes them.

    A hint gives its colour, of the chroma that sRGB can show at the photograph's own lightness there, to the cell of
    its place, and to those whose middle lies within its radius of that cell's. Where two hints meet, the later one
    counts, as with paint. The padding around the photograph has none.

    Returns:
        float32 [S, S, 3]: a* and b* in CIE units, and a mask of 0 or 1.
    """
    drawn = np.zeros((*prepared.square.shape[:2], 3), np.float32)
    content = crop(drawn, prepared.box)
    lightness = crop(prepared.square[..., 0], prepared.box)
    top, left, height, width = prepared.box
    rows, columns = np.ogrid[:height, :width]
    for hint in prepared.hints:
        row, column = cell_of(prepared, hint.x, hint.y)
        reach = hint.radius * max(height, width)
        is_hinted = np.square(rows - (row - top)) + np.square(columns - (column - left)) <= reach * reach
        content[is_hinted, :2] = _shown_ab(lightness[is_hinted], rgb_to_lab(np.array(hint.rgb, np.uint8))[1:])
        content[is_hinted, 2] = 1
    return drawn


def mean_ab(prepared: Sequence[Prepared], found: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of the colours found for one photograph at several sides, for the square of the first.

    Args:
        prepared: the photograph at each side.
        found: a*b* for each square, [..., S, S, 2] with the same leading axes.

    Returns:
        float32 [..., S, S, 2].
    """
    if len(found) == 1:
        return found[0]
    first = prepared[0].square.shape[0]
    _, _, height, width = prepared[0].box
    mean = np.array(found[0], np.float32).reshape(-1, first, first, 2)
    for one, other in zip(prepared[1:], found[1:], strict=True):
        side = one.square.shape[0]
        for whole, ab in zip(mean, other.reshape(-1, side, side, 2), strict=True):
            content = np.ascontiguousarray(crop(ab, one.box), np.float32)
            crop(whole, prepared[0].box)[:] += resize(content, height, width)
    for whole in mean:
        crop(whole, prepared[0].box)[:] /= len(found)
    return mean.reshape(found[0].shape)


def at_full_size(prepared: Prepared, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Enlarge numbers of the square, [S, S], to the photograph's size, [H, W], evenly between its cells."""
    height, width = prepared.lightness.shape
    return resize(np.ascontiguousarray(crop(values, prepared.box)), height, width)


def shown_color(prepared: Prepared, place: tuple[int, int], ab: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the colours that a*b* [..., 2] have at the lightness of a cell of the square: sRGB, uint8 [..., 3]."""
    lightness = np.full(ab.shape[:-1], prepared.square[(*place, 0)], np.float32)
    return join_lightness_and_color(lightness, ab)


def _shown_ab(lightness: NDArray[np.float32], ab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what is left of a colour [2], in a*b* [N, 2], where sRGB shows it at each lightness [N]."""
    shown = join_lightness_and_color(lightness, np.broadcast_to(ab, (len(lightness), 2)), np.float32)
    kept: NDArray[np.float32] = rgb_to_lab(shown)[:, 1:]
    return kept


def finish(prepared: Prepared, ab: NDArray[Any], palette: Palette = AS_FOUND) -> NDArray[Any]:
    """Give a photograph the colour that the network found for its square.

    Args:
        prepared: what `prepare` returned.
        ab: a*b* for `prepared.square`, [S, S, 2], CIE units.
        palette: what becomes of the network's colour. A tint that is kept stays as it is: with a strength of 0 the
            toned photograph comes back.

    Returns:
        [H, W, 3] sRGB at the photograph's size and dtype; its lightness is that of the photograph given to `prepare`.
    """
    small_lightness = crop(prepared.square[..., 0], prepared.box)
    # No colour is that vivid; but far larger numbers, which a model may give, would overflow on their way to sRGB.
    found = np.clip(crop(ab, prepared.box).astype(np.float32), -1000, 1000)
    small = np.clip(in_palette(small_lightness, found, palette), -1000, 1000)
    rgb = np.empty((*prepared.lightness.shape, 3), prepared.dtype)
    for rows, a, b in color_strips(small, small_lightness, prepared.lightness):
        if prepared.tint is not None:
            tint_a, tint_b = prepared.tint.of(prepared.lightness[rows])
            a, b = a + tint_a, b + tint_b
        write_rgb(prepared.lightness[rows], a, b, rgb[rows])
    return rgb
