"""The kinds of files that photographs come in: known by their first bytes, never by their names."""

import struct

from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL import WebPImagePlugin as WebpImagePlugin

from photo.errors import PhotoError

FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}

# Formats by their first bytes. The plugins are called directly, not through Image.open: that one would judge the size
# by Pillow's global limit, and might ask a decoder that has no business with photographs.
_READERS: list[tuple[bytes, str, type[ImageFile.ImageFile]]] = [
    (b"\xff\xd8\xff", "JPEG", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", "PNG", PngImagePlugin.PngImageFile),
    (b"RIFF", "WEBP", WebpImagePlugin.WebPImageFile),
    (b"II*\0", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"II+\0", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"MM\0+", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"BM", "BMP", BmpImagePlugin.BmpImageFile),
]


def recognise_format(data: bytes) -> str:
    """Return the format whose signature the first bytes bear; raises PhotoError (`not_an_image`) when there is none."""
    return reader_of(data)[0]


def reader_of(data: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    """Return the format whose signature the first bytes bear, and what reads it; raises PhotoError (`not_an_image`)."""
    for magic, name, reader in _READERS:
        if data.startswith(magic) and (name != "WEBP" or data[8:12] == b"WEBP"):
            return name, reader
    start = data[:12].decode("ascii", "backslashreplace")
    raise PhotoError("not_an_image", f"not a JPEG, PNG, WebP, TIFF or BMP file: it begins with {start!r}")


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
