"""Writes photographs: pixels, and what was known of them, become the bytes of a file."""

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.coloring_options import ColoringOptions
from photo.credentials import can_be_signed, sign
from photo.decoding import on_white
from photo.errors import TintypeError
from photo.formats import PhotoFormat, check_format
from photo.metadata import XMP_EXTENSION, Metadata, as_iptc_resource, result_metadata
from photo.metadata_limits import fitting
from photo.provenance import Provenance
from photo.sixteen_bit import to_eight_bits
from photo.tiff_writing import Page, encode_tiff
from photo.visible_mark import with_visible_mark
from photo.xmp import extension_digest, split_packet

# Longest side a format's header can hold; libjpeg stops a little before its own.
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
_NOT_KEPT = "not in the result: {}"
# Of XMP in a JPEG: in one segment, and of each part where there are several.
_LARGEST_PACKET, _EXTENSION_PART = 65_502, 65_400
# Of photographs, level 6 (zlib's default) takes five times as long as 1 for 6% fewer bytes, and method 4 (libwebp's)
# two and a half times as long as 2 for none.
_PNG_LEVEL, _WEBP_METHOD = 1, 2
_WITH_ALPHA = (PhotoFormat.PNG, PhotoFormat.TIFF, PhotoFormat.WEBP)
_WITH_SIXTEEN_BITS = (PhotoFormat.PNG, PhotoFormat.TIFF)


class ColoredPage(NamedTuple):
    """A photograph, or a page of one, that was given colour.

    Attributes:
        rgb: uint8 or uint16 [H, W, 3].
        metadata: of the photograph or its page.
        alpha: of `rgb`'s type, [H, W]; None where everything is opaque.
    """

    rgb: NDArray[Any]
    metadata: Metadata
    alpha: NDArray[Any] | None = None


class EncodedColoring(NamedTuple):
    """A result as a file.

    Attributes:
        data: its bytes.
        notes: what of the photograph's file it does not hold, each in words.
    """

    data: bytes
    notes: tuple[str, ...]


def encode_photo(
    rgb: NDArray[Any],
    format: PhotoFormat | str,
    *,
    quality: int = 92,
    metadata: Metadata = Metadata(),  # noqa: B008 - frozen
    alpha: NDArray[Any] | None = None,
) -> bytes:
    """Encode a photograph.

    Args:
        rgb: uint8 or uint16 [H, W, 3]. PNG and TIFF keep 16 bits; the others get the nearest 8.
        format: "JPEG", "PNG", "WEBP", "TIFF" or "BMP".
        quality: 1..100, of JPEG and WebP.
        metadata: what else the file is to say, as far as the format can.
        alpha: of `rgb`'s type, [H, W], 0 where the photograph is transparent; what shows through in JPEG and BMP, which
            have none, is white.

    Raises:
        ValueError: for an unknown format, or an array that is not uint8 or uint16 [H, W, 3].
        TintypeError: when the photograph is larger than the format can hold.
    """
    format = check_format(format)
    _check_pixels(rgb, format)
    metadata, _ = fitting(metadata, format, is_marked=True)
    if rgb.dtype == np.uint16 and format not in _WITH_SIXTEEN_BITS:
        rgb, alpha = to_eight_bits(rgb), None if alpha is None else to_eight_bits(alpha)
    if format is PhotoFormat.TIFF:
        return encode_tiff([_tiff_page(rgb, metadata, alpha)])
    if alpha is not None:
        rgb = np.dstack([rgb, alpha]) if format in _WITH_ALPHA else on_white(rgb, alpha)
    samples = np.ascontiguousarray(rgb)
    if format is PhotoFormat.PNG:
        return _png(samples, metadata)
    options: dict[str, object] = {"dpi": metadata.dpi, "icc_profile": metadata.icc, "xmp": metadata.xmp}
    if metadata.exif:
        options["exif"] = b"Exif\0\0" + metadata.exif.removeprefix(b"Exif\0\0")
    if format is PhotoFormat.JPEG:
        options |= {"quality": quality, "subsampling": "4:4:4"}  # colour at full size is what was asked for
        packet, extension = _xmp_segments(metadata.xmp)
        extra = (_iptc_segment(metadata.iptc) or b"") + extension
        options |= {"xmp": packet, "comment": metadata.comment, "extra": extra or None}
    elif format is PhotoFormat.WEBP:
        options |= {"quality": quality, "method": _WEBP_METHOD}
    encoded = io.BytesIO()
    Image.fromarray(samples).save(
        encoded, format, **{name: value for name, value in options.items() if value is not None}
    )
    return encoded.getvalue()


def encode_coloring(
    rgb: NDArray[Any],
    format: PhotoFormat,
    metadata: Metadata,
    options: ColoringOptions,
    provenance: Provenance,
    alpha: NDArray[Any] | None = None,
) -> EncodedColoring:
    """Encode a photograph that was given colour; the way by which results become files.

    Args:
        rgb: uint8 or uint16 [H, W, 3], in colour.
        format: of the file.
        metadata: of the photograph.
        options: how.
        provenance: where the colours come from.
        alpha: as for `encode_photo`.

    Raises:
        TintypeError: as `encode_photo`; also when it cannot be signed.
    """
    page, notes = _marked(ColoredPage(rgb, metadata, alpha), format, options, provenance)
    data = encode_photo(page.rgb, format, quality=options.quality, metadata=page.metadata, alpha=alpha)
    return _signed(data, format, options, provenance, notes)


def encode_colored_pages(
    pages: Sequence[ColoredPage], options: ColoringOptions, provenance: Provenance
) -> EncodedColoring:
    """Encode the pages of a TIFF that were given colour, as `encode_coloring` does a single photograph.

    Args:
        pages: in their order, each with its own metadata.
        options: how.
        provenance: where the colours come from.

    Raises:
        TintypeError: the file would be larger than 4 GiB, or cannot be signed.
    """
    written, notes = [], []
    for number, page in enumerate(pages, 1):
        marked, lost = _marked(page, PhotoFormat.TIFF, options, provenance)
        written.append(_tiff_page(marked.rgb, marked.metadata, page.alpha))
        notes += [f"{note} (page {number})" for note in lost]
    return _signed(encode_tiff(written), PhotoFormat.TIFF, options, provenance, tuple(notes))


def losses(page: ColoredPage, format: PhotoFormat, options: ColoringOptions) -> tuple[str, ...]:
    """Say what a result in a format will not hold of a photograph: the notes of `encode_coloring`, before any work.

    Args:
        page: the photograph, in colour or not.
        format: of the result.
        options: how it is to be encoded.
    """
    return _fitted(page, format, options)[1]


def _fitted(page: ColoredPage, format: PhotoFormat, options: ColoringOptions) -> tuple[Metadata, tuple[str, ...]]:
    """Return what the format can hold of the metadata, and in words what of the whole it cannot."""
    rgb, metadata, alpha = page
    fitted, unfitting = fitting(metadata, format)
    lost = [*metadata.notes, *unfitting]
    if alpha is not None and format not in _WITH_ALPHA:
        lost.append(f"its transparency, which became white: {format} has none")
    if rgb.dtype == np.uint16 and format not in _WITH_SIXTEEN_BITS:
        lost.append(f"its 16 bits a channel, which became 8: {format} has no more")
    if format is PhotoFormat.BMP and options.mark_metadata:
        lost.append("the mark that a machine made the colours: BMP has no place for it")
    if options.credentials is not None and not can_be_signed(format):
        lost.append(f"the signature: {format} has no place for it")
    return fitted, tuple(map(_NOT_KEPT.format, lost))


def _marked(
    page: ColoredPage, format: PhotoFormat, options: ColoringOptions, provenance: Provenance
) -> tuple[ColoredPage, tuple[str, ...]]:
    """Return what is to be written, complete with all marks, and in words what the format cannot hold."""
    rgb, metadata, alpha = page
    height, width = rgb.shape[:2]
    fitted, lost = _fitted(page, format, options)
    complete = result_metadata(fitted, width, height, provenance if options.mark_metadata else None)
    complete = replace(complete, compression=options.tiff_compression or metadata.compression)
    marked = ColoredPage(with_visible_mark(rgb) if options.mark else rgb, complete, alpha)
    return marked, lost


def _signed(
    data: bytes, format: PhotoFormat, options: ColoringOptions, provenance: Provenance, notes: tuple[str, ...]
) -> EncodedColoring:
    if options.credentials is None or not can_be_signed(format):
        return EncodedColoring(data, notes)
    return EncodedColoring(sign(data, format, options.credentials, provenance), notes)


def _tiff_page(rgb: NDArray[Any], metadata: Metadata, alpha: NDArray[Any] | None) -> Page:
    samples = np.ascontiguousarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    return Page(samples, fitting(metadata, PhotoFormat.TIFF, is_marked=True)[0], metadata.compression or "none")


def _check_pixels(rgb: NDArray[Any], format: PhotoFormat) -> None:
    if rgb.dtype not in (np.uint8, np.uint16) or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"expected uint8 or uint16 [H, W, 3], received {rgb.dtype} {rgb.shape}")
    height, width = rgb.shape[:2]
    if max(height, width) > (longest := _LONGEST_SIDE.get(format, 2**31 - 1)):
        raise TintypeError(f"{format} holds at most {longest} pixels a side, not {width} x {height}; take PNG or TIFF")


def _xmp_segments(xmp: bytes | None) -> tuple[bytes | None, bytes]:
    """Return the packet for a JPEG's XMP segment, and further segments for what is too large for one."""
    if xmp is None or len(xmp) <= _LARGEST_PACKET:
        return xmp, b""
    packet, extension = split_packet(xmp)
    digest = extension_digest(packet).encode()
    segments = b""
    for at in range(0, len(extension), _EXTENSION_PART):
        content = XMP_EXTENSION + digest + struct.pack(">II", len(extension), at) + extension[at : at + _EXTENSION_PART]
        segments += b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content
    return packet, segments


def _iptc_segment(iptc: bytes | None) -> bytes | None:
    if not iptc:
        return None
    content = b"Photoshop 3.0\0" + as_iptc_resource(iptc)
    return b"\xff\xed" + struct.pack(">H", 2 + len(content)) + content


def _png(samples: NDArray[Any], metadata: Metadata) -> bytes:
    """Encode 8 bits by Pillow and 16 by OpenCV, which knows no metadata: the chunks are put in here."""
    if samples.dtype == np.uint8:
        file = io.BytesIO()
        Image.fromarray(samples).save(file, "PNG", compress_level=_PNG_LEVEL)
        encoded = file.getvalue()
    else:
        to_bgr = cv2.COLOR_RGB2BGR if samples.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        encoded = cv2.imencode(".png", cv2.cvtColor(samples, to_bgr))[1].tobytes()
    after_header = 8 + 25  # signature and IHDR, W3C PNG 5.6: everything inserted must stand before the pixels
    return encoded[:after_header] + _png_chunks(metadata) + encoded[after_header:]


def _png_chunks(metadata: Metadata) -> bytes:
    chunks = b""
    if metadata.icc:
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.dpi:
        chunks += _png_chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in metadata.dpi), 1))
    if metadata.exif:
        chunks += _png_chunk(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    if metadata.xmp:
        chunks += _png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    if metadata.iptc:
        resource = as_iptc_resource(metadata.iptc)
        profile = f"\niptc\n{len(resource):8}\n{resource.hex()}\n".encode()
        chunks += _png_chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(profile))
    for key, value in metadata.text:
        keyword = key.encode("latin-1", "replace").strip(b"\0 ")[:79] or b"Comment"
        try:
            chunks += _png_chunk(b"tEXt", keyword + b"\0" + value.replace("\0", " ").encode("latin-1"))
        except UnicodeEncodeError:
            chunks += _png_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + value.replace("\0", " ").encode("utf-8", "replace"))
    return chunks


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
