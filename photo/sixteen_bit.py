"""Photographs of 16 bits a channel: reads them from TIFF and PNG, writes them as PNG, and rounds them to 8 bits.

Pillow knows 16 bits for gray alone; of 16-bit colour it keeps 8.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from photo.icc_profile import read_profile


def to_eight_bits(deep: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Round 16 bits to the nearest 8: uint16 [...] with white at 65535 -> uint8 [...] with white at 255."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def sixteen_bit_rgb(
    image: ImageFile.ImageFile, data: bytes, name: str, profile: ImageCms.ImageCmsProfile | None
) -> NDArray[Any] | None:
    """Return uint16 [H, W, 3] sRGB; None when the file does not hold 16 bits, or its profile takes 8 alone."""
    if image.mode.startswith("I;16"):
        return sixteen_bit_gray(image, profile)
    deep_png = name == "PNG" and data[24] == 16
    deep_tiff = name == "TIFF" and image.mode in ("RGB", "RGBA") and 16 in _bits_per_sample(image)
    if not (deep_png or deep_tiff):
        return None
    to_srgb = _sixteen_bit_conversion(image, profile)
    if to_srgb is None:
        return None
    # Pillow has judged the file; but of 16-bit colour it keeps 8 bits, OpenCV all.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 2:
        return to_srgb(_repeat_gray(pixels))
    rgb = to_srgb(np.ascontiguousarray(pixels[..., 2::-1]))
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.float32) / 65535
        rgb = (rgb * alpha + 65535 * (1 - alpha) + 0.5).astype(np.uint16)
    return rgb


def sixteen_bit_gray(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> NDArray[Any] | None:
    """Return uint16 [H, W, 3] sRGB, or None when the profile takes 8 bits alone."""
    to_srgb = _sixteen_bit_conversion(image, profile)
    return None if to_srgb is None else to_srgb(_repeat_gray(sixteen_bit_shades(image)))


def _sixteen_bit_conversion(
    image: Image.Image, profile: ImageCms.ImageCmsProfile | None
) -> Callable[[NDArray[np.uint16]], NDArray[np.uint16]] | None:
    """Return what takes uint16 [H, W, 3] to sRGB, or None when littlecms has to, with 8 bits."""
    if profile is None:
        return lambda rgb: rgb
    read = read_profile(image.info["icc_profile"])
    if read is None:
        return None
    if read.space == "GRAY" and image.mode in ("RGB", "RGBA"):
        return lambda rgb: rgb  # a profile of another kind than its picture is ignored
    return read.to_srgb


def sixteen_bit_shades(image: Image.Image) -> NDArray[np.uint16]:
    """Return uint16 [H, W] of an image of Pillow's 16-bit modes."""
    gray: NDArray[Any] = np.asarray(image).astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if _bits_per_sample(image) == (12,):
            gray = gray << 4 | gray >> 8
        if image.tag_v2.get(Tag.PhotometricInterpretation) == 0:  # white is zero; Pillow leaves 16 bits as they are
            gray = ~gray
    return gray


def _bits_per_sample(image: ImageFile.ImageFile) -> tuple[int, ...]:
    return image.tag_v2.get(Tag.BitsPerSample, ())  # type: ignore[attr-defined]


def _repeat_gray(gray: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(gray[..., None], 3, axis=-1)


def sixteen_bit_png(
    rgb: NDArray[np.uint16], exif: bytes | None, icc: bytes | None, dpi: tuple[float, float] | None
) -> bytes:
    """Encode 16 bits a channel, which Pillow cannot; OpenCV can, but knows no metadata: the chunks are put in here."""
    encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
    chunks = b""
    if icc:
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if dpi:
        chunks += _png_chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1))
    if exif:
        chunks += _png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    after_header = 8 + 25  # signature and IHDR, W3C PNG 5.6: everything inserted must stand before the pixels
    return encoded[:after_header] + chunks + encoded[after_header:]


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
