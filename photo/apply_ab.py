"""Joins a photograph with colour that was found for it before: as often as wanted, with whatever strength."""

from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.coloring import finish, prepare
from photo.coloring_options import ColoringOptions
from photo.geometry import resize
from photo.input_kinds import EncodedPhoto, PhotoInput, PhotoOutput, open_photo
from photo.limits import MAX_PIXELS
from photo.provenance import Provenance

Pixel = TypeVar("Pixel", bound=np.generic)


@overload
def apply_ab(
    photo: EncodedPhoto,
    ab: NDArray[Any],
    options: ColoringOptions = ...,
    *,
    provenance: Provenance = ...,
    longest_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> bytes: ...
@overload
def apply_ab(
    photo: Image.Image,
    ab: NDArray[Any],
    options: ColoringOptions = ...,
    *,
    provenance: Provenance = ...,
    longest_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image: ...
@overload
def apply_ab(
    photo: NDArray[Pixel],
    ab: NDArray[Any],
    options: ColoringOptions = ...,
    *,
    provenance: Provenance = ...,
    longest_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[Pixel]: ...
def apply_ab(
    photo: PhotoInput,
    ab: NDArray[Any],
    options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
    *,
    provenance: Provenance = Provenance(),  # noqa: B008 - frozen
    longest_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> PhotoOutput:
    """Colour a photograph with what `Colorizer.find_ab` returned for it; nobody is asked, nothing is sent.

        [ab] = colorizer.find_ab("grandmother.jpg")
        pale, vivid = (
            apply_ab("grandmother.jpg", ab, ColoringOptions(strength=strength)) for strength in (0.6, 1.3)
        )

    Args:
        photo: the same photograph, as `Colorizer.colorize` takes it.
        ab: a*b* for its square, float32 [S, S, 2], CIE units.
        options: how, as for `Colorizer.colorize`.
        provenance: of `ab`, as `Colorizer.find_ab_with_provenance` returns it; without, a file names no model.
        longest_side: reduce the photograph to it before it is coloured, in pixels; None keeps its size.
        max_pixels: larger photographs are refused.

    Returns:
        The same kind, as `Colorizer.colorize` returns it.

    Raises:
        PhotoError: when the photograph cannot be used.
    """
    rgb, in_kind = open_photo(photo, options, max_pixels=max_pixels)
    height, width = rgb.shape[:2]
    if longest_side is not None and longest_side < max(height, width):
        scale = longest_side / max(height, width)
        rgb = resize(rgb, max(1, round(scale * height)), max(1, round(scale * width)))
    colored = finish(prepare(rgb, ab.shape[0], keep_tint=options.keep_tint), ab, options.strength)
    return in_kind(colored, provenance)
