"""The kinds of files that photographs come in: known by their first bytes, never by their names."""

import struct
from enum import StrEnum

from photo.errors import PhotoError


class PhotoFormat(StrEnum):
    """A kind of file that photographs are read from, under Pillow's name for it; the first five are written, too."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    TIFF = "TIFF"
    BMP = "BMP"
    GIF = "GIF"
    HEIF = "HEIF"
    AVIF = "AVIF"
    JPEG2000 = "JPEG2000"

    @property
    def written_as(self) -> "PhotoFormat":
        """The kind that the colouring of such a file gets where no other is asked for: its own where it is written."""
        return _WRITTEN_AS.get(self, self)

    @property
    def suffix(self) -> str:
        """The suffix that a new file with the colouring of such a file gets."""
        written = self.written_as
        return ".jpg" if written is PhotoFormat.JPEG else f".{written.lower()}"


# A palette holds too few colours, and what archives keep as JPEG 2000 may have 16 bits.
_WRITTEN_AS = {
    PhotoFormat.GIF: PhotoFormat.PNG,
    PhotoFormat.HEIF: PhotoFormat.JPEG,
    PhotoFormat.AVIF: PhotoFormat.JPEG,
    PhotoFormat.JPEG2000: PhotoFormat.PNG,
}

WRITTEN_FORMATS = tuple(format for format in PhotoFormat if format.written_as is format)


FORMAT_OF_SUFFIX = {
    ".jpg": PhotoFormat.JPEG,
    ".jpeg": PhotoFormat.JPEG,
    ".jpe": PhotoFormat.JPEG,
    ".jfif": PhotoFormat.JPEG,
    ".png": PhotoFormat.PNG,
    ".webp": PhotoFormat.WEBP,
    ".tif": PhotoFormat.TIFF,
    ".tiff": PhotoFormat.TIFF,
    ".bmp": PhotoFormat.BMP,
}

# Signatures at the start of a file. What follows `ftyp` of HEIF's family is told apart by its brands.
_SIGNATURES = [
    (b"\xff\xd8\xff", PhotoFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", PhotoFormat.PNG),
    (b"II*\0", PhotoFormat.TIFF),
    (b"MM\0*", PhotoFormat.TIFF),
    (b"II+\0", PhotoFormat.TIFF),
    (b"MM\0+", PhotoFormat.TIFF),
    (b"BM", PhotoFormat.BMP),
    (b"GIF87a", PhotoFormat.GIF),
    (b"GIF89a", PhotoFormat.GIF),
    (b"\0\0\0\x0cjP  \r\n\x87\n", PhotoFormat.JPEG2000),
    (b"\xff\x4f\xff\x51", PhotoFormat.JPEG2000),
]
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"heif"}

# Kinds that people take for photographs and that are not read.
_CAMERA_RAW = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
_CAMERA_RAW_BRANDS = {b"crx "}
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")

DEVELOP_FIRST = "a camera's RAW file: develop it first (as TIFF or JPEG), and colour that"

_BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})


def check_format(format: str) -> PhotoFormat:
    """Return the written format of this name; raises ValueError when there is none."""
    if format not in WRITTEN_FORMATS:
        raise ValueError(f"expected a format of {sorted(map(str, WRITTEN_FORMATS))}, received {format!r}")
    return PhotoFormat(format)


def recognise_format(data: bytes) -> PhotoFormat:
    """Return the format whose signature the first bytes bear; the first 64 are enough.

    Raises:
        PhotoError: with reason `not_an_image` when there is none, or `unreadable` for a picture of a kind that is
            known and not read.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return PhotoFormat.WEBP
    if data.startswith(_CAMERA_RAW) or (data[:4] in (b"II*\0", b"MM\0*") and data[8:10] == b"CR"):
        raise PhotoError("unreadable", DEVELOP_FIRST)
    for magic, format in _SIGNATURES:
        if data.startswith(magic):
            return format
    if data[4:8] == b"ftyp":
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4]), 64), 4))}
        if brands & _CAMERA_RAW_BRANDS:
            raise PhotoError("unreadable", DEVELOP_FIRST)
        if brands & _AVIF_BRANDS:
            return PhotoFormat.AVIF
        if brands & _HEIF_BRANDS:
            return PhotoFormat.HEIF
    if data.startswith(_JPEG_XL):
        raise PhotoError("unreadable", "a JPEG XL file, which is not read: save it as PNG or TIFF, and colour that")
    start = data[:12].decode("ascii", "backslashreplace")
    raise PhotoError(
        "not_an_image",
        f"not a photograph of a known kind (JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF, JPEG 2000): "
        f"it begins with {start!r}",
    )


def recognise_photo(head: bytes) -> PhotoFormat | None:
    """Return the format of a file of whatever name by its first 64 bytes; None for one that is no photograph.

    Stricter than `recognise_format` with BMP, whose signature is two letters that a text may begin with.

    Raises:
        PhotoError: with reason `unreadable`, for a picture of a kind that is known and not read.
    """
    try:
        format = recognise_format(head)
    except PhotoError as error:
        if error.reason != "not_an_image":
            raise
        return None
    # Reserved bytes, and the size of the second header: Windows' BITMAPFILEHEADER and BITMAPINFOHEADER.
    is_bmp = head[6:10] == b"\0\0\0\0" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES
    return format if format is not PhotoFormat.BMP or is_bmp else None


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
        case "GIF":
            return b";" not in data[-64:]
        case "TIFF":
            return _tiff_ends_early(data)
        case "JPEG2000":
            return b"\xff\xd9" not in data[-64:]
    return _boxes_end_early(data)


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


def _boxes_end_early(data: bytes) -> bool:
    """Return whether a box of an ISO base media file (HEIF, AVIF) reaches beyond the end (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if size == 0:
            return False  # to the end of the file
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        at += max(size, 8)
    return at != len(data)
