"""What a file says about its photograph: orientation, resolution, EXIF."""

from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag

# What EXIF may say of the file it came from and would be wrong, or harmful, in the file it is written to. All of it
# describes how a TIFF stores its pixels; the rest (camera, date, place, author) is kept.
_KEPT_EXIF = frozenset(
    {
        Tag.ImageDescription, Tag.Make, Tag.Model, Tag.Software, Tag.DateTime, Tag.Artist, Tag.HostComputer,
        Tag.Copyright, Tag.ExifOffset, Tag.GPSInfo, Tag.XPTitle, Tag.XPComment, Tag.XPAuthor, Tag.XPKeywords,
        Tag.XPSubject, Tag.DocumentName, Tag.PageName, Tag.Rating,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """What a file says of its photograph besides the pixels, true of an upright sRGB picture.

    Attributes:
        exif: camera, date, place and author as an EXIF block; says nothing of the orientation.
        icc: an ICC profile of sRGB, where the file carried a profile: the file's own when that is sRGB, else (the
            pixels were converted) one of littlecms. None where it carried none: sRGB by convention.
        dpi: horizontal and vertical pixels per inch.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None


def orientation(exif: Image.Exif) -> int:
    """Return how pixels have to be turned by their EXIF data, as an orientation 1..8."""
    try:
        value = exif.get(Tag.Orientation, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return value if value in range(1, 9) else 1


def resolution(info: dict[str | tuple[int, int], Any]) -> tuple[float, float] | None:
    """Return horizontal and vertical pixels per inch of an image's `info`, where it says so and can be believed."""
    try:
        horizontal, vertical = (float(value) for value in info["dpi"])
    except Exception:
        return None
    return believable_resolution(horizontal, vertical)


def believable_resolution(horizontal: float, vertical: float) -> tuple[float, float] | None:
    """Return them as they are, in pixels per inch; None where no photograph has such a resolution."""
    return (horizontal, vertical) if 1 < horizontal < 1e5 and 1 < vertical < 1e5 else None


def is_adobe_rgb(exif: Image.Exif) -> bool:
    """Return whether EXIF data says Adobe RGB: by R03 and a colour space that is not sRGB (DCF 2.0), or by 2 for it."""
    try:
        if Tag.ExifOffset not in exif:  # asking for it would make it
            return False
        space = exif.get_ifd(Tag.ExifOffset).get(Tag.ColorSpace)
        index = exif.get_ifd(IFD.Interop).get(1, "")
    except Exception:  # broken
        return False
    index = index.decode("ascii", "replace") if isinstance(index, bytes) else str(index)
    return space == 2 or (space != 1 and index.rstrip("\0 ") == "R03")


def portable_exif(exif: Image.Exif) -> bytes | None:
    """Return camera, date, place and author as an EXIF block that fits any file; None where there are none.

    What it says of the colours is made true of the converted ones, which are sRGB.
    """
    try:
        for tag in set(exif) - _KEPT_EXIF:
            del exif[tag]
        if Tag.ExifOffset in exif:
            details = exif.get_ifd(Tag.ExifOffset)
            if Tag.ColorSpace in details:
                details[Tag.ColorSpace] = 1
            details.pop(IFD.Interop, None)
        return exif.tobytes() if len(exif) else None
    except Exception:  # broken EXIF: the photograph goes on without it
        return None
