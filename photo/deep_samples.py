"""Reads samples of another number of bits than 8 a channel, whole and with white at their largest number.

Where Pillow keeps 8 bits of more, another decoder reads them, and its picture must be Pillow's: of PNG OpenCV, of JPEG
2000 and AVIF imagecodecs, of the extra `formats`.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from photo.errors import PhotoError
from photo.formats import PhotoFormat
from photo.picture import Samples, opaque_or
from photo.sample_values import to_unsigned

_DEPTH_OF_PNG = 24  # where its header says it, PNG 11.2.1

# The start of a codestream of JPEG 2000, and where behind it the depths of its components stand (T.800, A.5.1): of each
# the first of three bytes. Their number stands before them.
_CODESTREAM, _DEPTHS = b"\xff\x4f\xff\x51", 42

# Bits of the third byte of AV1's configuration (AV1 in ISO base media, 2.3.3).
_MORE_THAN_EIGHT, _TWELVE = 0x40, 0x20


def deep_samples(image: ImageFile.ImageFile, data: bytes, format: PhotoFormat) -> tuple[Samples | None, str | None]:
    """Return the samples of a file of more or fewer than 8 bits a channel; a note where the upper 8 alone can be had.

    Args:
        image: the file as Pillow has loaded it.
        data: the file.
        format: of it.

    Returns:
        None for samples that Pillow keeps whole, and for those of the note.

    Raises:
        PhotoError: of JPEG 2000, whose whites become black as Pillow reads them, the extra is missing, or two decoders
            differ.
        Exception: of any kind, of a decoder that met hostile bytes.
    """
    bits = _bits(image, data, format)
    if bits == 8:
        return None, None
    if bits < 8 or image.mode.startswith("I;16"):  # Pillow keeps them whole, in the upper bits
        stored = _channels(image)
        whole, _ = to_unsigned(stored >> (8 * stored.itemsize - bits), bits, None)
        return _samples(whole, image), None
    pixels = _decoded(data, format)
    if pixels is not None and pixels.dtype == np.uint16 and _is_the_same(pixels, bits, image, format):
        deep, _ = to_unsigned(pixels, bits, None)
        return _samples(deep, image), None
    if format is not PhotoFormat.JPEG2000:
        return None, f"of its {bits} bits a channel the upper 8 are read"
    why = "takes the extra `formats` to read" if pixels is None else "is read differently by two decoders"
    raise PhotoError("unreadable", f"a JPEG 2000 file of {bits} bits a channel {why}: save it as TIFF or PNG")


def _bits(image: ImageFile.ImageFile, data: bytes, format: PhotoFormat) -> int:
    """Return the bits of a channel, as the file says them; 8 for what is of no concern here."""
    match format:
        case PhotoFormat.PNG if image.mode in ("RGB", "RGBA", "LA"):
            return data[_DEPTH_OF_PNG]
        case PhotoFormat.JPEG2000 if image.mode != "P":
            start = data.find(_CODESTREAM) + _DEPTHS
            count = int.from_bytes(data[start - 2 : start])
            return max((1 + (depth & 0x7F) for depth in data[start : start + 3 * count : 3]), default=8)
        case PhotoFormat.AVIF:
            start = data.find(b"av1C") + 4
            depths = data[start + 2] if start >= 4 and start + 2 < len(data) else 0
            return 8 if not depths & _MORE_THAN_EIGHT else 12 if depths & _TWELVE else 10
    return 8


def _decoded(data: bytes, format: PhotoFormat) -> NDArray[Any] | None:
    """Return the samples as another decoder reads them, [H, W, C]; None where it is missing or cannot."""
    if format is PhotoFormat.PNG:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.ndim != 3 or pixels.shape[2] < 3:
            return None
        return np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], axis=-1)
    try:
        import imagecodecs
    except ImportError:
        return None
    if format is PhotoFormat.JPEG2000:
        pixels = np.asarray(imagecodecs.jpeg2k_decode(data))
        return pixels if pixels.ndim == 3 else pixels[..., None]
    try:
        pixels = np.asarray(imagecodecs.avif_decode(data, index=0))
    except Exception:  # a kind that Pillow alone reads
        return None
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _is_the_same(pixels: NDArray[Any], bits: int, image: ImageFile.ImageFile, format: PhotoFormat) -> bool:
    """Return whether samples are those of which Pillow shows 8 bits, within a step of them."""
    seen = _channels(image.convert("RGB") if format is PhotoFormat.PNG else image)
    pixels = pixels[..., :3] if format is PhotoFormat.PNG else pixels
    if pixels.shape != seen.shape:
        return False
    if format is PhotoFormat.JPEG2000:  # Pillow rounds beyond white, which becomes black
        away = ((pixels + np.uint16(1 << (bits - 9))) >> (bits - 8)).astype(np.uint8) - seen
        return bool(((away <= 1) | (away == 0xFF)).all())
    upper = (pixels >> (bits - 8)).astype(np.uint8)
    return bool((np.maximum(upper, seen) - np.minimum(upper, seen)).max() <= 1)


def _channels(image: Image.Image) -> NDArray[Any]:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _samples(deep: NDArray[Any], image: ImageFile.ImageFile) -> Samples:
    if image.mode == "CMYK":
        return Samples(deep, "CMYK")
    colors = 3 if deep.shape[2] >= 3 else 1
    color = np.ascontiguousarray(deep[..., :colors])
    alpha = deep[..., -1] if deep.shape[2] in (2, 4) else None
    hidden = image.info.get("transparency")
    if isinstance(hidden, tuple) and len(hidden) == 3:
        alpha = np.where((color == np.array(hidden, np.uint16)).all(axis=-1), 0, 65535).astype(np.uint16)
    return Samples(color, "RGB" if colors == 3 else "GRAY", opaque_or(alpha))
