"""Photographs of 16 bits a channel: rounded to 8 bits, and written as PNG, which Pillow does with gray alone."""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray


def to_eight_bits(deep: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Round 16 bits to the nearest 8: uint16 [...] with white at 65535 -> uint8 [...] with white at 255."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


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


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
