"""Photographs of 16 bits a channel: read from TIFF and PNG, taken to sRGB, rounded to 8 bits, written as PNG.

Pillow knows 16 bits for gray alone; of 16-bit colour it keeps the upper 8, and OpenCV all.
"""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from photo.formats import PhotoFormat
from photo.icc_profile import read_profile

_COLOR_OR_ALPHA = ("RGB", "RGBA")


def to_eight_bits(deep: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Round 16 bits to the nearest 8: uint16 [...] with white at 65535 -> uint8 [...] with white at 255."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def read_sixteen_bits(image: ImageFile.ImageFile, data: bytes, format: PhotoFormat) -> NDArray[np.uint16] | None:
    """Return the samples of a file of 16 bits a channel as they are stored; None for one of another depth.

    Args:
        image: the file, opened and loaded by Pillow, which has judged it.
        data: the whole file.
        format: of the file.

    Returns:
        uint16 [H, W] gray, [H, W, 3] RGB or [H, W, 4] RGB and alpha, not yet converted by the file's colour profile.
    """
    if image.mode.startswith("I;16"):
        return sixteen_bit_gray(image)
    is_deep_png = format is PhotoFormat.PNG and data[24] == 16  # bit depth, W3C PNG 11.2.1
    is_deep_tiff = (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.mode in _COLOR_OR_ALPHA
        and 16 in _bits_per_sample(image)
    )
    if not (is_deep_png or is_deep_tiff):
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    samples: NDArray[np.uint16] = pixels.astype(np.uint16, copy=False)
    if samples.ndim == 2:
        return samples
    return np.ascontiguousarray(samples[..., [2, 1, 0, 3][: samples.shape[2]]])


def sixteen_bit_gray(image: Image.Image) -> NDArray[np.uint16]:
    """Return the samples, uint16 [H, W], of an image in one of Pillow's modes of 16-bit gray; white is 65535."""
    gray = np.asarray(image).astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if _bits_per_sample(image) == (12,):
            gray = (gray << 4 | gray >> 8).astype(np.uint16)  # 12 bits to 16, not to 8
        if image.tag_v2.get(Tag.PhotometricInterpretation) == 0:  # white is zero; Pillow leaves 16 bits as they are
            gray = ~gray
    return gray


def sixteen_bits_to_srgb(
    samples: NDArray[np.uint16], image: Image.Image, profile: ImageCms.ImageCmsProfile | None
) -> NDArray[np.uint16] | None:
    """Take the samples of a photograph to sRGB, flattened on white.

    Args:
        samples: as `read_sixteen_bits` returns them.
        image: the photograph as Pillow has it, with its embedded profile.
        profile: the same profile, when it is not sRGB; None otherwise.

    Returns:
        uint16 [H, W, 3]; None when the profile is of a kind that littlecms alone knows, with 8 bits.
    """
    rgb = np.repeat(samples[..., None], 3, axis=-1) if samples.ndim == 2 else np.ascontiguousarray(samples[..., :3])
    if profile is not None:
        known = read_profile(image.info["icc_profile"])
        if known is None:
            return None
        # A gray profile in a colour photograph, of another kind than its picture, is ignored.
        if not (known.space == "GRAY" and image.mode in _COLOR_OR_ALPHA):
            rgb = known.to_srgb(rgb)
    if samples.ndim == 3 and samples.shape[2] == 4:
        alpha = samples[..., 3:].astype(np.float32) / 65535
        rgb = (rgb * alpha + 65535 * (1 - alpha) + 0.5).astype(np.uint16)
    return rgb


def encode_sixteen_bit_png(
    rgb: NDArray[np.uint16], exif: bytes | None, icc: bytes | None, dpi: tuple[float, float] | None
) -> bytes:
    """Encode uint16 [H, W, 3], which Pillow cannot; OpenCV can, but knows no metadata: the chunks are put in here."""
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


def _bits_per_sample(image: TiffImagePlugin.TiffImageFile) -> tuple[int, ...]:
    return tuple(image.tag_v2.get(Tag.BitsPerSample, ()))


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
