"""What a file says about its photograph: orientation, resolution, EXIF, and the colour profile of the result."""

import functools
import io
import struct
from dataclasses import dataclass

from PIL import Image, ImageCms, TiffImagePlugin
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


def read_metadata(image: Image.Image, foreign: ImageCms.ImageCmsProfile | None) -> Metadata:
    """Return what is known of a loaded image.

    Args:
        image: as Pillow opened it.
        foreign: its profile, by which its pixels were converted; None where they are sRGB.
    """
    return Metadata(portable_exif(image), profile_of_result(image, foreign), resolution(image))


def orientation(image: Image.Image) -> int:
    """Return how the pixels of a loaded image still have to be turned, as an EXIF orientation 1..8."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow and OpenCV turn a TIFF when they load it
    try:
        value = image.getexif().get(Tag.Orientation, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return value if value in range(1, 9) else 1


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Return horizontal and vertical pixels per inch, where the file says so and can be believed."""
    try:
        horizontal, vertical = (float(value) for value in image.info["dpi"])
    except Exception:
        return None
    return (horizontal, vertical) if 1 < horizontal < 1e5 and 1 < vertical < 1e5 else None


def portable_exif(image: Image.Image) -> bytes | None:
    """Return camera, date, place and author as an EXIF block that fits any file; None where there are none."""
    try:
        exif = image.getexif()
        for tag in set(exif) - _KEPT_EXIF:
            del exif[tag]
        return exif.tobytes() if len(exif) else None
    except Exception:  # broken EXIF: the photograph goes on without it
        return None


def foreign_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Return the ICC profile when it is readable and not sRGB itself."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return None if "sRGB" in ImageCms.getProfileDescription(profile) else profile
    except Exception:  # absent or broken: take the pixels as sRGB
        return None


def profile_of_result(image: Image.Image, foreign: ImageCms.ImageCmsProfile | None) -> bytes | None:
    """Return the profile that tells of the converted pixels what the file's own told of its pixels."""
    if foreign is not None:
        return _made_srgb_profile()
    embedded = image.info.get("icc_profile")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(embedded)) if embedded else None
    except Exception:  # broken
        return None
    if own is None or own.profile.xcolor_space.strip() != "RGB":
        return None
    return embedded


@functools.cache
def _made_srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # its date (ICC.1:2022, 7.2.8), else today's
    return bytes(profile)
