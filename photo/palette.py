"""How vivid, how warm and in which look a model's colours are laid on; quick to import."""

import hashlib
import math
from dataclasses import dataclass, field
from enum import StrEnum

from photo.reference_text import reference_bytes

MOST_STRENGTH = 4.0
MOST_SATURATION = 3.0


class Look(StrEnum):
    """A way in which photographs of a time or a process show colours; the lightness stays the photograph's own."""

    FAITHFUL = "faithful"
    """The colours as the model says."""
    VIVID = "vivid"
    """Fuller colours, pale ones most of all."""
    FADED = "faded"
    """A print of the seventies after years in the light: cyan has gone first, blacks are reddish, whites yellow."""
    KODACHROME = "kodachrome"
    """Slide film: deep reds and yellows, blues towards cyan, warm lights over cool shadows."""
    AUTOCHROME = "autochrome"
    """The dyed starch of 1907: soft, warm, reds towards orange, blues towards slate."""
    COOL = "cool"
    """As in the light of an overcast day or of snow."""


def _reference_of_file(name: str) -> str:
    from photo.reference_colors import reference_of_file  # not for --help

    return reference_of_file(name)


@dataclass(frozen=True)
class Palette:
    """What becomes of a model's colours; see `ColoringOptions`.

    Raises:
        ValueError: for a value that can never work.
    """

    strength: float = field(
        default=1.0,
        metadata={
            "help": "Factor on the colour: 0 gray, 1 as the model says, 1.3 vivid.",
            "min": 0.0,
            "max": MOST_STRENGTH,
        },
    )
    look: Look = field(
        default=Look.FAITHFUL,
        metadata={
            "help": "Show the colours as a film or a time did; light and shade stay.",
            "choices": {str(look): look for look in Look},
        },
    )
    warmth: float = field(
        default=0.0,
        metadata={"help": "Warmer (to 1) or colder (to -1) light.", "min": -1.0, "max": 1.0},
    )
    saturation: float = field(
        default=1.0,
        metadata={
            "help": "Factor on the model's colours alone; a look's and the warmth's own tones stay.",
            "min": 0.0,
            "max": MOST_SATURATION,
        },
    )

    reference: str = field(
        default="",
        metadata={
            "help": "Take the colours of this photograph for what is alike in it.",
            "metavar": "PHOTO",
            "convert": _reference_of_file,
            "show_default": False,
        },
    )

    def __post_init__(self) -> None:
        if not (self.strength >= 0 and math.isfinite(self.strength)):
            raise ValueError(f"expected a strength of at least 0, received {self.strength}")
        try:
            object.__setattr__(self, "look", Look(self.look))  # of "vivid", too, as JSON and YAML have it
        except ValueError:
            raise ValueError(f"expected a look of {', '.join(Look)}, received {self.look!r}") from None
        if not -1 <= self.warmth <= 1:
            raise ValueError(f"expected a warmth of -1..1, received {self.warmth}")
        if not (self.saturation >= 0 and math.isfinite(self.saturation)):
            raise ValueError(f"expected a saturation of at least 0, received {self.saturation}")
        reference_bytes(self.reference)

    @property
    def palette_words(self) -> str:
        """What it changes besides the strength, in a few words; "" where it changes nothing."""
        words = [] if self.look is Look.FAITHFUL else [f"look {self.look}"]
        words += [f"warmth {self.warmth:g}"] if self.warmth else []
        words += [f"saturation {self.saturation:g}"] if self.saturation != 1 else []
        words += [f"reference {hashlib.sha256(self.reference.encode()).hexdigest()[:12]}"] if self.reference else []
        return " ".join(words)


AS_FOUND = Palette()
"""The model's colours as they are."""
