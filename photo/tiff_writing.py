"""Writes TIFFs: 8 and 16 bits a channel, alpha, several pages, lossless compression, and all that a page says.

Pillow's own writer knows no 16 bits a channel, and its compressing one stumbles over EXIF data; so directories and
pixels are laid out here, and Pillow's libtiff compresses the strips.
"""

import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from photo.directories import BYTE, LONG, SHORT, UNDEFINED, Block, Value, writer_for
from photo.errors import TintypeError
from photo.exif import parsed, with_resolution
from photo.metadata import Metadata

XMP, IPTC, ICC = 700, 33723, 34675
_STRIP_BYTES = 1 << 20
_LARGEST_FILE = 2**32 - 1
_STRIP_OFFSETS, _STRIP_BYTE_COUNTS = 273, 279
_COMPRESSION_NUMBERS = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773}
_PREDICTED = ("lzw", "deflate")  # neighbours' differences are what these shorten


class Page(NamedTuple):
    """One page of a TIFF.

    Attributes:
        samples: uint8 or uint16 [H, W, 3], or [H, W, 4] with unassociated alpha.
        metadata: what it says.
        compression: "none", "lzw", "deflate" or "packbits".
    """

    samples: NDArray[Any]
    metadata: Metadata
    compression: str = "none"


def encode_tiff(pages: Sequence[Page]) -> bytes:
    """Return the bytes of a TIFF.

    Raises:
        TintypeError: it would be larger than a TIFF can be, 4 GiB.
    """
    first = parsed(pages[0].metadata.exif)
    writer = writer_for(first)
    for page in pages:
        described = _described(page, first.order)
        offsets, counts = [], []
        strips, rows = _strips(page.samples, page.compression, first.order)
        for strip in strips:
            offsets.append(writer.add(strip))
            counts.append(len(strip))
            if writer.size > _LARGEST_FILE:
                raise TintypeError("TIFF holds at most 4 GiB; take PNG, or a compression for TIFF")
        values = {
            _STRIP_OFFSETS: described.packed(LONG, *offsets),
            278: described.packed(LONG, rows),
            _STRIP_BYTE_COUNTS: described.packed(LONG, *counts),
        }
        directory = replace(described.directory, values=described.directory.values | values)
        writer.add_directory(directory, is_linked=True)
    return b"".join(writer.pieces())


def _described(page: Page, order: str) -> Block:
    """Return what stands in a page's directory besides the places of its strips."""
    metadata, (height, width, channels) = page.metadata, page.samples.shape
    block = parsed(metadata.exif).in_order(order)
    if metadata.dpi:
        block = with_resolution(block, metadata.dpi)
    values = {
        256: block.packed(LONG, width),
        257: block.packed(LONG, height),
        258: block.packed(SHORT, *[8 * page.samples.itemsize] * channels),
        259: block.packed(SHORT, _COMPRESSION_NUMBERS[page.compression]),
        262: block.packed(SHORT, 2),  # RGB
        277: block.packed(SHORT, channels),
        284: block.packed(SHORT, 1),  # channels side by side
    }
    if page.compression in _PREDICTED:
        values[317] = block.packed(SHORT, 2)
    if channels == 4:
        values[338] = block.packed(SHORT, 2)  # unassociated alpha
    texts = ((XMP, BYTE, metadata.xmp), (IPTC, UNDEFINED, metadata.iptc), (ICC, UNDEFINED, metadata.icc))
    for tag, kind, data in texts:
        if data:
            values[tag] = Value(kind, len(data), data)
    return replace(block, directory=replace(block.directory, values=block.directory.values | values))


def _strips(samples: NDArray[Any], compression: str, order: str) -> tuple[Iterator[bytes], int]:
    """Return the compressed strips, and how many rows each but the last has."""
    height, width, channels = samples.shape
    rows = height if compression == "none" else max(1, _STRIP_BYTES // (width * channels * samples.itemsize))

    def strips() -> Iterator[bytes]:
        for top in range(0, height, rows):
            strip = samples[top : top + rows]
            if compression in _PREDICTED:
                strip = np.concatenate([strip[:, :1], np.diff(strip, axis=1)], axis=1)
            if strip.itemsize == 2 and (order == ">") != (sys.byteorder == "big"):
                strip = strip.byteswap()
            yield _compressed(np.ascontiguousarray(strip), compression)

    return strips(), min(rows, height)


def _compressed(strip: NDArray[Any], compression: str) -> bytes:
    """Return the bytes of rows, compressed as libtiff does it; to that one they are rows of gray."""
    if compression == "none":
        return strip.tobytes()
    if compression == "deflate":
        return zlib.compress(strip.tobytes())
    rows = strip.view(np.uint8).reshape(len(strip), -1)
    file = io.BytesIO()
    name = {"lzw": "tiff_lzw", "packbits": "packbits"}[compression]
    Image.fromarray(rows).save(file, "TIFF", compression=name, strip_size=rows.nbytes)
    tags = TiffImagePlugin.TiffImageFile(io.BytesIO(file.getvalue())).tag_v2
    (start,), (size,) = tags[_STRIP_OFFSETS], tags[_STRIP_BYTE_COUNTS]
    return file.getvalue()[start : start + size]
