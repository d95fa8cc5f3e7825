"""The kinds of files that photographs come in: known by their first bytes, never by their names."""

import struct
from enum import StrEnum
from typing import TYPE_CHECKING

from photo.errors import PhotoError

if TYPE_CHECKING:
    from PIL import ImageFile


class PhotoFormat(StrEnum):
    """A kind of file that photographs are read from and written to, under Pillow's name for it."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    TIFF = "TIFF"
    BMP = "BMP"

    @property
    def suffix(self) -> str:
        """The suffix that a new file of this kind gets."""
        return ".jpg" if self is PhotoFormat.JPEG else f".{self.lower()}"


FORMAT_OF_SUFFIX = {
    ".jpg": PhotoFormat.JPEG,
    ".jpeg": PhotoFormat.JPEG,
    ".png": PhotoFormat.PNG,
    ".webp": PhotoFormat.WEBP,
    ".tif": PhotoFormat.TIFF,
    ".tiff": PhotoFormat.TIFF,
    ".bmp": PhotoFormat.BMP,
}

_SIGNATURES = [
    (b"\xff\xd8\xff", PhotoFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", PhotoFormat.PNG),
    (b"RIFF", PhotoFormat.WEBP),
    (b"II*\0", PhotoFormat.TIFF),
    (b"MM\0*", PhotoFormat.TIFF),
    (b"II+\0", PhotoFormat.TIFF),
    (b"MM\0+", PhotoFormat.TIFF),
    (b"BM", PhotoFormat.BMP),
]


def check_format(format: str) -> PhotoFormat:
    """Return the format of this name; raises ValueError when there is none."""
    if format not in PhotoFormat.__members__:
        raise ValueError(f"expected a format of {sorted(map(str, PhotoFormat))}, received {format!r}")
    return PhotoFormat(format)


def recognise_format(data: bytes) -> PhotoFormat:
    """Return the format whose signature the first bytes bear; raises PhotoError (`not_an_image`) when there is none."""
    for magic, format in _SIGNATURES:
        if data.startswith(magic) and (format is not PhotoFormat.WEBP or data[8:12] == b"WEBP"):
            return format
    start = data[:12].decode("ascii", "backslashreplace")
    raise PhotoError("not_an_image", f"not a JPEG, PNG, WebP, TIFF or BMP file: it begins with {start!r}")


def reader_of(data: bytes) -> "tuple[PhotoFormat, type[ImageFile.ImageFile]]":
    """Return the format whose signature the first bytes bear, and what reads it; raises PhotoError (`not_an_image`)."""
    format = recognise_format(data)
    # The plugins are called directly, not through Image.open: that one would judge the size by Pillow's global limit,
    # and might ask a decoder that has no business with photographs. Imported here, to keep this module quick to import.
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    readers: dict[PhotoFormat, type[ImageFile.ImageFile]] = {
        PhotoFormat.JPEG: JpegImagePlugin.JpegImageFile,
        PhotoFormat.PNG: PngImagePlugin.PngImageFile,
        PhotoFormat.WEBP: WebPImagePlugin.WebPImageFile,
        PhotoFormat.TIFF: TiffImagePlugin.TiffImageFile,
        PhotoFormat.BMP: BmpImagePlugin.BmpImageFile,
    }
    return format, readers[format]


def claimed_size(data: bytes, name: str) -> tuple[int, int]:
    """Return width and height of an extended WebP, whose reader allocates them at once; (0, 0) for the others."""
    if name == "WEBP" and data[12:16] == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return 0, 0


def ends_early(data: bytes, name: str) -> bool:
    """Return whether a file that could not be decoded lacks its end."""
    match name:
        case "JPEG":
            return b"\xff\xd9" not in data[-1024:]
        case "PNG":
            return b"IEND" not in data[-1024:]
        case "WEBP":
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        case "BMP":
            return len(data) < int.from_bytes(data[2:6], "little")
    return _tiff_ends_early(data)


def _tiff_ends_early(data: bytes) -> bool:
    """Return whether the first directory of a TIFF, a value it points to, or a strip or tile lies beyond the end."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):
        return False  # BigTIFF: seldom enough to be called unreadable
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (entries,) = struct.unpack_from(order + "H", data, directory)
        extents: dict[int, tuple[int, ...]] = {}
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
            size = {3: 2, 4: 4, 5: 8, 10: 8, 12: 8}.get(kind, 1) * count
            start = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
            if start + size > len(data):
                return True
            if tag in (273, 279, 324, 325) and kind in (3, 4):  # offsets and byte counts of strips and of tiles
                extents[tag] = struct.unpack_from(f"{order}{count}{'H' if kind == 3 else 'I'}", data, start)
    except struct.error:
        return True
    return any(
        offset + length > len(data)
        for offsets, lengths in ((273, 279), (324, 325))
        for offset, length in zip(extents.get(offsets, ()), extents.get(lengths, ()), strict=False)
    )
