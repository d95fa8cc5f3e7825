"""`ColoringOptions`: how the colour of a photograph is laid on, and what kind of file it becomes."""

import math
from dataclasses import dataclass, field

from photo.formats import PhotoFormat, check_format


@dataclass(frozen=True)
class ColoringOptions:
    """How a photograph is coloured, with one model's colours.

        ColoringOptions(strength=1.3)                      # more vivid
        ColoringOptions(keep_tint=True)                    # a sepia photograph stays one, under its colour
        ColoringOptions(format=PhotoFormat.PNG)

    Attributes:
        strength: factor on the chroma: 0 is gray, 1 the model's colour, more is more vivid.
        keep_tint: lay the tint of a toned or yellowed photograph (sepia, cyanotype) over the colour, light and shade
            their own; otherwise it is removed. A photograph in colour has none.
        format: of a result that is a file; None keeps the photograph's own, or takes it from the result's name.
        quality: 1..100, of JPEG and WebP.

    Raises:
        ValueError: for a value that can never work.
    """

    strength: float = field(
        default=1.0,
        metadata={"help": "Factor on the colour: 0 gray, 1 as the model says, 1.3 vivid.", "min": 0.0, "max": 4.0},
    )
    keep_tint: bool = field(
        default=False,
        metadata={
            "help": "Lay the tint of a toned or yellowed photograph (sepia) over the colour; without, it is removed."
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
    quality: int = field(default=92, metadata={"help": "Quality of JPEG and WebP.", "min": 1, "max": 100})

    def __post_init__(self) -> None:
        if not (self.strength >= 0 and math.isfinite(self.strength)):
            raise ValueError(f"expected a strength of at least 0, received {self.strength}")
        if self.format is not None:
            object.__setattr__(self, "format", check_format(self.format))  # of "PNG", too, as JSON and YAML have it
        if not 1 <= self.quality <= 100:
            raise ValueError(f"expected a quality of 1..100, received {self.quality}")
