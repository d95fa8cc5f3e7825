"""Takes a photograph of any kind (path, bytes, Pillow image, array) and gives its colouring back as the same kind."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.coloring_options import ColoringOptions
from photo.decoding import Photo, decode_photo, photo_from_image
from photo.encoding import encode_coloring
from photo.errors import PhotoError
from photo.provenance import Provenance
from photo.sixteen_bit import to_eight_bits

# Larger than any photograph that `MAX_PIXELS` lets in; it ends the reading of a pipe or device that never ends.
MAX_BYTES = 1 << 31


EncodedPhoto = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A photograph as a file: its path, or its bytes."""

PhotoInput = EncodedPhoto | Image.Image | NDArray[Any]
"""A photograph of any kind."""

PhotoOutput = bytes | Image.Image | NDArray[Any]
"""What a photograph becomes: an encoded one the bytes of a file, the others their own kind."""


def open_photo(
    photo: PhotoInput, options: ColoringOptions, *, max_pixels: int
) -> tuple[NDArray[Any], Callable[[NDArray[Any], Provenance], PhotoOutput]]:
    """Return the pixels of a photograph, [H, W, 3], and the function that brings coloured ones into its kind.

    That function takes the coloured pixels and where their colours come from.

    Args:
        photo: a path, bytes, a Pillow image or an array, as `Colorizer.colorize` takes them.
        options: the format and the quality of the file to make of a path or bytes.
        max_pixels: larger photographs are refused.

    Raises:
        PhotoError: when the photograph cannot be used.
        TypeError: for another kind of photograph.
    """
    if isinstance(photo, str | os.PathLike):
        photo = read_photo(Path(photo))
    if isinstance(photo, bytes | bytearray | memoryview):
        decoded = decode_photo(bytes(photo), max_pixels=max_pixels)
        return decoded.rgb, partial(_file_bytes, decoded, options)
    if isinstance(photo, Image.Image):
        decoded = photo_from_image(photo)
        return decoded.rgb, partial(_pillow_image, decoded)
    if isinstance(photo, np.ndarray):
        return _checked_array(photo), lambda rgb, _: rgb
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
    return encode_coloring(rgb, options.format or decoded.format.written_as, decoded.metadata, options, provenance)


def _pillow_image(decoded: Photo, rgb: NDArray[Any], provenance: Provenance) -> Image.Image:
    image = Image.fromarray(rgb if rgb.dtype == np.uint8 else to_eight_bits(rgb))
    metadata = decoded.metadata
    kept = {"dpi": metadata.dpi, "exif": metadata.exif, "icc_profile": metadata.icc}
    image.info |= {key: value for key, value in kept.items() if value is not None}
    return image


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
