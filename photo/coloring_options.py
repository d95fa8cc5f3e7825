"""`ColoringOptions`: how the colour of a photograph is laid on, and what kind of file it becomes."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from photo.credentials import Credentials
from photo.formats import PhotoFormat, check_format
from photo.palette import Palette

TIFF_COMPRESSIONS = ("none", "lzw", "deflate", "packbits")


class ColorPhotos(StrEnum):
    """What is done with a photograph that has colour already."""

    RECOLOR = "recolor"
    """It is coloured as any other, and its own colour is lost."""
    SKIP = "skip"
    """It is left as it is."""
    ASK = "ask"
    """It is left as it is where nobody can be asked: the command line asks on a terminal."""


LARGEST_SIDE = 512
"""Of the square at which a model is asked, in pixels, unless the model names larger ones itself."""

MOST_SIDES = 4


def parse_sides(text: str) -> tuple[int, ...] | None:
    """Read sides as the command line has them: "256", or "128,256"; "" is None.

    Raises:
        ValueError: it is no such text.
    """
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}(,[0-9]{1,5})*", text, re.ASCII):
        raise ValueError(f"render: expected a side in pixels, or several as 128,256, received {text!r:.80}")
    return tuple(int(side) for side in text.split(","))


@dataclass(frozen=True)
class ColoringOptions(Palette):
    """How a photograph is coloured, with one model's colours.

        ColoringOptions(strength=1.3)                      # more vivid
        ColoringOptions(look="kodachrome", warmth=0.3)     # as slide film, in a warm light
        ColoringOptions(keep_tint=True)                    # a sepia photograph stays one, under its colour
        ColoringOptions(render=(128, 256))                 # the mean of what the model says at both sides
        ColoringOptions(format=PhotoFormat.PNG)

    Attributes:
        strength: factor on the chroma: 0 is gray, 1 the model's colour, more is more vivid.
        look: how a film or a time showed colours (`Look`); light and shade stay the photograph's own.
        warmth: -1..1, of the light: more is warmer.
        saturation: factor on the chroma of the model's colours alone; tones of a look or of the light stay.
        reference: the colours of another photograph, as `photo.reference_colors.reference_of_file` gives them as text:
            they are taken for what is alike in it. "" takes the model's own.
        keep_tint: lay the tint of a toned or yellowed photograph (sepia, cyanotype) over the colour, light and shade
            their own; otherwise it is removed. A photograph in colour has none.
        render: sides of the squares at which the model is asked, in pixels, each a multiple of its stride; the mean of
            the answers is laid on. A larger one shows finer colour, and takes longer. None is the model's own side.
        format: of a result that is a file; None keeps the photograph's own, or takes it from the result's name.
        color_photos: what is done with a photograph that has colour already; a toned one has none.
        page: of a TIFF of several pages the one to colour, from 1; None colours all where the result is a TIFF, too,
            else the first.
        quality: 1..100, of JPEG and WebP.
        tiff_compression: of a TIFF: "none", "lzw", "deflate" or "packbits"; None keeps that of the photograph's file.
        keep_date: of a result that is a file on this machine: give it the date of the photograph's file.
        mark_metadata: say in the file that a machine made the colours, by which version and model.
        mark: say so in the picture, too, small in its lower right corner.
        credentials: sign results with a C2PA manifest; None signs nothing.

    Raises:
        ValueError: for a value that can never work.
    """

    keep_tint: bool = field(
        default=False,
        metadata={
            "help": "Lay the tint of a toned or yellowed photograph (sepia) over the colour; without, it is removed."
        },
    )
    render: tuple[int, ...] | None = field(
        default=None,
        metadata={
            "help": "Ask the model at another side, in pixels (128, 256), or at several and take the mean (128,256). "
            "[default: the model's own]",
            "type": str,
            "convert": parse_sides,
            "metavar": "SIDE",
            "unset": True,
        },
    )
    format: PhotoFormat | None = field(
        default=None,
        metadata={
            "help": "The kind of file to write.",
            "choices": {
                "same": None,
                "jpg": PhotoFormat.JPEG,
                "png": PhotoFormat.PNG,
                "webp": PhotoFormat.WEBP,
                "tiff": PhotoFormat.TIFF,
            },
        },
    )
    color_photos: ColorPhotos = field(
        default=ColorPhotos.RECOLOR,
        metadata={
            "help": "Photographs that have colour already: colour anew, leave as they are, or ask on a terminal.",
            "choices": {str(choice): choice for choice in ColorPhotos},
        },
    )
    page: int | None = field(
        default=None,
        metadata={
            "help": "Of a TIFF of several pages, colour this one, from 1. [default: all]",
            "type": int,
            "metavar": "N",
            "min": 1,
            "unset": True,
        },
    )
    quality: int = field(default=92, metadata={"help": "Quality of JPEG and WebP.", "min": 1, "max": 100})
    tiff_compression: str | None = field(
        default=None,
        metadata={
            "help": "How TIFFs are compressed; nothing is lost.",
            "choices": {"same": None, "none": "none", "lzw": "lzw", "deflate": "deflate", "packbits": "packbits"},
        },
    )
    keep_date: bool = field(default=False, metadata={"help": "Give each result the date of its photograph's file."})
    mark_metadata: bool = field(
        default=True,
        metadata={
            "help": "Say in the file's metadata (XMP, EXIF) that a machine made the colours.",
            "flag": "--mark-metadata/--no-mark-metadata",
        },
    )
    mark: bool = field(
        default=False, metadata={"help": "Say in the picture, small in a corner, that a machine made the colours."}
    )
    credentials: Credentials | None = field(default=None, metadata={"help": "Sign.", "hidden": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.render is not None:
            object.__setattr__(self, "render", _checked_sides(self.render))
        if self.format is not None:
            object.__setattr__(self, "format", check_format(self.format))  # of "PNG", too, as JSON and YAML have it
        object.__setattr__(self, "color_photos", ColorPhotos(self.color_photos))
        if self.page is not None and self.page < 1:
            raise ValueError(f"expected a page of at least 1, received {self.page}")
        if self.tiff_compression not in (None, *TIFF_COMPRESSIONS):
            raise ValueError(f"expected a TIFF compression of {TIFF_COMPRESSIONS}, received {self.tiff_compression!r}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"expected a quality of 1..100, received {self.quality}")


def _checked_sides(sides: tuple[int, ...]) -> tuple[int, ...]:
    if not 1 <= len(sides) <= MOST_SIDES or any(side < 1 for side in sides) or len(set(sides)) < len(sides):
        raise ValueError(f"render: expected 1..{MOST_SIDES} different sides in pixels, received {sides}")
    return tuple(sides)
