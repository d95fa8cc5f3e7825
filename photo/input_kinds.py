"""Takes a photograph of any kind (path, bytes, Pillow image, array) and gives its colouring back as the same kind."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.coloring_options import ColoringOptions, ColorPhotos
from photo.decoding import Photo, decode_photo, on_white, photo_from_image
from photo.encoding import encode_coloring
from photo.errors import PhotoError
from photo.geometry import resize
from photo.metadata import result_metadata
from photo.pages import PagePlan
from photo.provenance import Provenance
from photo.sixteen_bit import to_eight_bits
from photo.tint import color_notes
from photo.visible_mark import with_visible_mark

# Larger than any photograph that `MAX_PIXELS` lets in; it ends the reading of a pipe or device that never ends.
MAX_BYTES = 1 << 31


EncodedPhoto = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A photograph as a file: its path, or its bytes."""

PhotoInput = EncodedPhoto | Image.Image | NDArray[Any]
"""A photograph of any kind."""

PhotoOutput = bytes | Image.Image | NDArray[Any]
"""What a photograph becomes: an encoded one the bytes of a file, the others their own kind."""


class OpenedPhoto(NamedTuple):
    """A photograph of any kind, open.

    Attributes:
        rgb: its pixels, [H, W, 3].
        in_kind: brings coloured pixels, and where their colours come from, into its kind.
        plan: of its pages, the one that `rgb` is.
    """

    rgb: NDArray[Any]
    in_kind: Callable[[NDArray[Any], Provenance], PhotoOutput]
    plan: PagePlan


def open_photo(photo: PhotoInput, options: ColoringOptions, *, max_pixels: int) -> OpenedPhoto:
    """Open a photograph of any kind.

    Args:
        photo: a path, bytes, a Pillow image or an array, as `Colorizer.colorize` takes them.
        options: whether one in colour is taken; of a path or bytes, the page to take, and the format and quality of the
            file to make.
        max_pixels: larger photographs are refused.

    Raises:
        PhotoError: when the photograph cannot be used.
        TypeError: for another kind of photograph.
    """
    opened = _opened(photo, options, max_pixels)
    if options.color_photos is not ColorPhotos.RECOLOR:
        color_notes(opened.rgb, options.color_photos)
    return opened


def _opened(photo: PhotoInput, options: ColoringOptions, max_pixels: int) -> OpenedPhoto:
    if isinstance(photo, str | os.PathLike):
        photo = read_photo(Path(photo))
    if isinstance(photo, bytes | bytearray | memoryview):
        page = 0 if options.page is None else options.page - 1
        decoded = decode_photo(bytes(photo), page=page, max_pixels=max_pixels)
        plan = PagePlan(range(page, page + 1), decoded.pages)
        return OpenedPhoto(decoded.color, partial(_file_bytes, decoded, options), plan)
    if isinstance(photo, Image.Image):
        decoded = photo_from_image(photo)
        return OpenedPhoto(decoded.color, partial(_pillow_image, decoded, options), PagePlan(range(1)))
    if isinstance(photo, np.ndarray):
        return OpenedPhoto(_checked_array(photo), partial(_array, options), PagePlan(range(1)))
    raise TypeError(f"expected a path, bytes, a Pillow image or an array, received {type(photo).__name__}")


def read_photo(source: Path | BinaryIO) -> bytes:
    """Read a file or an open stream.

    Raises:
        PhotoError: it cannot be read, or holds more than `MAX_BYTES`.
    """
    try:
        if isinstance(source, Path):
            with open(source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        else:
            data = source.read(MAX_BYTES + 1)
    except OSError as error:
        name = source if isinstance(source, Path) else source.name
        raise PhotoError("unreadable", f"cannot read {name}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise PhotoError("too_many_bytes", f"more than {MAX_BYTES:,} bytes are no photograph")
    return data


def _file_bytes(decoded: Photo, options: ColoringOptions, rgb: NDArray[Any], provenance: Provenance) -> bytes:
    format = options.format or decoded.format.written_as
    return encode_coloring(rgb, format, decoded.metadata, options, provenance, _alpha_of(decoded, rgb)).data


def _array(options: ColoringOptions, rgb: NDArray[Any], provenance: Provenance) -> NDArray[Any]:
    del provenance  # an array has no place for it
    return with_visible_mark(rgb) if options.mark else rgb


def _pillow_image(decoded: Photo, options: ColoringOptions, rgb: NDArray[Any], provenance: Provenance) -> Image.Image:
    height, width = rgb.shape[:2]
    if (alpha := _alpha_of(decoded, rgb)) is not None:
        rgb = on_white(rgb, alpha)
    if options.mark:
        rgb = with_visible_mark(rgb)
    image = Image.fromarray(rgb if rgb.dtype == np.uint8 else to_eight_bits(rgb))
    metadata = result_metadata(decoded.metadata, width, height, provenance if options.mark_metadata else None)
    exif = metadata.exif and b"Exif\0\0" + metadata.exif
    kept = {"dpi": metadata.dpi, "exif": exif, "icc_profile": metadata.icc, "xmp": metadata.xmp}
    image.info |= {key: value for key, value in kept.items() if value is not None}
    return image


def _alpha_of(decoded: Photo, rgb: NDArray[Any]) -> NDArray[Any] | None:
    """Return the photograph's alpha channel at the size of its coloured pixels, which may be reduced."""
    if decoded.alpha is None or decoded.alpha.shape == rgb.shape[:2]:
        return decoded.alpha
    return resize(decoded.alpha, *rgb.shape[:2])


def _checked_array(array: NDArray[Any]) -> NDArray[Any]:
    """Return [H, W, 3] of an array a caller handed over."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise PhotoError("unreadable", f"expected an array [H, W], [H, W, 1] or [H, W, 3], received {array.shape}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise PhotoError(
                "unreadable", f"expected {array.dtype} values in 0..1, received some outside or not finite"
            )
    elif array.dtype not in (np.uint8, np.uint16):
        raise PhotoError("unreadable", f"expected uint8, uint16 or floating point in 0..1, received {array.dtype}")
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
