"""Writes photographs: pixels, and what was known of them, become the bytes of a file."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from photo.coloring_options import ColoringOptions
from photo.errors import TintypeError
from photo.formats import PhotoFormat, check_format
from photo.metadata import Metadata
from photo.provenance import Provenance
from photo.sixteen_bit import encode_sixteen_bit_png, to_eight_bits

# Longest side a format's header can hold; libjpeg stops a little before its own.
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
_LONGEST_JPEG_EXIF = 65_533  # one segment


def encode_photo(
    rgb: NDArray[Any],
    format: PhotoFormat | str,
    *,
    quality: int = 92,
    metadata: Metadata = Metadata(),  # noqa: B008 - frozen
) -> bytes:
    """Encode a photograph.

    Args:
        rgb: uint8 or uint16 [H, W, 3]. PNG and TIFF keep 16 bits; the others get the nearest 8.
        format: "JPEG", "PNG", "WEBP", "TIFF" or "BMP".
        quality: 1..100, of JPEG and WebP.
        metadata: what else the file is to say.

    Raises:
        ValueError: for an unknown format, or an array that is not uint8 or uint16 [H, W, 3].
        TintypeError: when the photograph is larger than the format can hold.
    """
    format = check_format(format)
    exif, icc, dpi = metadata.exif, metadata.icc, metadata.dpi
    if rgb.dtype not in (np.uint8, np.uint16) or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"expected uint8 or uint16 [H, W, 3], received {rgb.dtype} {rgb.shape}")
    height, width = rgb.shape[:2]
    if max(height, width) > (longest := _LONGEST_SIDE.get(format, 2**31 - 1)):
        raise TintypeError(f"{format} holds at most {longest} pixels a side, not {width} x {height}; take PNG or TIFF")
    if rgb.dtype == np.uint16 and format == "PNG":
        return encode_sixteen_bit_png(rgb, exif, icc, dpi)
    if format == "TIFF":
        return _tiff(rgb, exif, icc, dpi)
    if rgb.dtype == np.uint16:
        rgb = to_eight_bits(rgb)
    options: dict[str, object] = {"dpi": dpi, "icc_profile": icc}
    if exif is not None and not (format == "JPEG" and len(exif) > _LONGEST_JPEG_EXIF):
        options["exif"] = exif
    if format == "JPEG":
        options |= {"quality": quality, "subsampling": "4:4:4"}  # colour at full size is what was asked for
    elif format == "WEBP":
        options |= {"quality": quality}
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(
        encoded, format, **{name: value for name, value in options.items() if value is not None}
    )
    return encoded.getvalue()


def encode_coloring(
    rgb: NDArray[Any],
    format: PhotoFormat,
    metadata: Metadata,
    options: ColoringOptions,
    provenance: Provenance,
) -> bytes:
    """Encode a photograph that was given colour; the one way by which results become files.

    Args:
        rgb: uint8 or uint16 [H, W, 3], in colour.
        format: of the file.
        metadata: of the photograph.
        options: how.
        provenance: where the colours come from.

    Raises:
        TintypeError: as `encode_photo`.
    """
    return encode_photo(rgb, format, quality=options.quality, metadata=metadata)


def _tiff(rgb: NDArray[Any], exif: bytes | None, icc: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """Encode one uncompressed strip behind a directory of Pillow's making.

    Pillow's own writer knows no 16 bits a channel, and its compressing one stumbles over EXIF data.
    """
    height, width = rgb.shape[:2]
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if exif:
        described = Image.Exif()
        described.load(exif)
        for tag, value in described.items():
            directory[tag] = described.get_ifd(tag) if tag in (Tag.ExifOffset, Tag.GPSInfo) else value
    directory[Tag.ImageWidth], directory[Tag.ImageLength] = width, height
    directory[Tag.BitsPerSample], directory[Tag.SamplesPerPixel] = (8 * rgb.itemsize,) * 3, 3
    directory[Tag.Compression], directory[Tag.PhotometricInterpretation] = 1, 2
    directory[Tag.RowsPerStrip], directory[Tag.StripByteCounts] = height, rgb.nbytes
    directory[Tag.StripOffsets] = 0
    if dpi:
        directory[Tag.XResolution], directory[Tag.YResolution] = dpi
        directory[Tag.ResolutionUnit] = 2
    if icc:
        directory.tagtype[Tag.InterColorProfile] = 7
        directory[Tag.InterColorProfile] = icc
    header = b"II*\0\x08\0\0\0"
    # Pillow counts StripOffsets from the directory's end; what comes before is the header and the directory itself.
    return header + directory.tobytes(len(header)) + rgb.astype(rgb.dtype.newbyteorder("<")).tobytes()
