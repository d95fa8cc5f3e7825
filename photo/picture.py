"""A picture as a file stores it: its samples, and all that must be known to take them to upright sRGB."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.errors import PhotoError
from photo.icc_profile import CurvesProfile

CHANNELS = {"GRAY": 1, "RGB": 3, "CMYK": 4}


@dataclass(frozen=True)
class Samples:
    """The pixels of a picture, none of them from memory that the file did not fill.

    Attributes:
        color: uint8 or uint16 [H, W, C], white (of CMYK: full ink) at the largest number.
        space: of `color`: "GRAY" (C is 1), "RGB" (3) or "CMYK" (4).
        alpha: [H, W] of the same dtype, opaque at the largest number; None where everything is opaque.
    """

    color: NDArray[Any]
    space: str
    alpha: NDArray[Any] | None = None


@dataclass(frozen=True)
class Picture:
    """One picture of a file, before its colours are taken to sRGB and it is turned upright.

    Attributes:
        samples: its pixels.
        orientation: how they have to be turned, as an EXIF orientation 1..8.
        exif: its EXIF data, or the tags of its directory of a TIFF; empty where there are none.
        dpi: horizontal and vertical pixels per inch, where the file says so.
        icc: its ICC profile, as it stands in the file.
        space: what the numbers of its RGB or gray mean, where the file says it otherwise than by `icc`.
        notes: as in `Photo`.
        pages: as in `Photo`.
        pictures_left_out: as in `Photo`.
        directory: where in a TIFF its directory begins, in bytes.
    """

    samples: Samples
    orientation: int = 1
    exif: Image.Exif = field(default_factory=Image.Exif)
    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    space: CurvesProfile | None = None
    notes: tuple[str, ...] = ()
    pages: int = 1
    pictures_left_out: int = 0
    directory: int | None = None

    def noting(self, *notes: str | None) -> "Picture":
        """Return it with some more notes."""
        return replace(self, notes=self.notes + tuple(note for note in notes if note))


def opaque_or(alpha: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return the alpha channel, or None where it is opaque everywhere."""
    if alpha is None or (alpha == np.iinfo(alpha.dtype).max).all():
        return None
    return np.ascontiguousarray(alpha)


def check_page(page: int, pages: int) -> None:
    """Raise PhotoError (`no_such_page`) for a page that a file does not have."""
    if not 0 <= page < pages:
        words = "one page" if pages == 1 else f"{pages} pages"
        raise PhotoError("no_such_page", f"the file has {words}, and no page {page + 1}")


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise PhotoError (`too_many_pixels`) for a larger picture."""
    if width * height > max_pixels:
        raise PhotoError(
            "too_many_pixels", f"{width} x {height} is {width * height:,} pixels; at most {max_pixels:,} are accepted"
        )
