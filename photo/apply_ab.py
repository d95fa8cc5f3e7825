"""Joins a photograph with colour that was found for it before: as often as wanted, with whatever strength."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.coloring import finish, prepare
from photo.coloring_options import ColoringOptions
from photo.decoding import decode_pages
from photo.encoding import ColoredPage, EncodedColoring, encode_colored_pages, encode_coloring
from photo.geometry import resize
from photo.input_kinds import EncodedPhoto, PhotoInput, PhotoOutput, open_photo
from photo.limits import MAX_PIXELS
from photo.pages import plan_pages
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
    rgb, in_kind, _ = open_photo(photo, options, max_pixels=max_pixels)
    return in_kind(_colored(_reduced(rgb, longest_side), ab, options), provenance)


def apply_ab_to_pages(
    data: bytes,
    ab_of: Callable[[int], NDArray[Any]],
    options: ColoringOptions,
    *,
    provenance: Provenance,
    longest_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> EncodedColoring:
    """Colour a photograph's file, all pages of one that becomes a TIFF, with what was found for each page.

    Args:
        data: the file's bytes.
        ab_of: returns a*b* for the square of a page, from 0: float32 [S, S, 2], CIE units.
        options: how, and with `page` of which page alone.
        provenance: of `ab_of`.
        longest_side: as for `apply_ab`; a reduced picture is of one page.
        max_pixels: of all pages together.

    Returns:
        The result, and what is to be said of it: how the file was read, and what the result does not hold.

    Raises:
        PhotoError: when the photograph cannot be used.
    """
    one_alone = "" if longest_side is None else "a reduced picture"
    plan = plan_pages(data, options, one_alone=one_alone, max_pixels=max_pixels)
    colored, notes = [], dict.fromkeys(plan.notes())
    for photo in decode_pages(data, plan.pages, max_pixels=max_pixels):
        alpha = None if photo.alpha is None else _reduced(photo.alpha, longest_side)
        rgb = _colored(_reduced(photo.color, longest_side), ab_of(photo.page), options)
        colored.append(ColoredPage(rgb, photo.metadata, alpha))
        notes |= dict.fromkeys(photo.notes)
    if len(colored) > 1:
        encoded = encode_colored_pages(colored, options, provenance)
    else:
        [(rgb, metadata, alpha)] = colored
        format = options.format or photo.format.written_as
        encoded = encode_coloring(rgb, format, metadata, options, provenance, alpha)
    return EncodedColoring(encoded.data, tuple(notes | dict.fromkeys(encoded.notes)))


def _colored(rgb: NDArray[Any], ab: NDArray[Any], options: ColoringOptions) -> NDArray[Any]:
    return finish(prepare(rgb, ab.shape[0], keep_tint=options.keep_tint), ab, options)


def _reduced(pixels: NDArray[Any], longest_side: int | None) -> NDArray[Any]:
    """Reduce [H, W, ...] to a longest side in pixels; what is smaller stays as it is."""
    height, width = pixels.shape[:2]
    if longest_side is None or longest_side >= max(height, width):
        return pixels
    scale = longest_side / max(height, width)
    return resize(pixels, max(1, round(scale * height)), max(1, round(scale * width)))
