"""What the client returns: `ColoringResult`, what became of one of many photographs, and `LikelyColor`."""

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from photo.errors import TintypeError

Given = TypeVar("Given")
Colored = TypeVar("Colored")


@dataclass(frozen=True)
class ColoringResult(Generic[Given, Colored]):
    """What became of one of many photographs.

    Attributes:
        photo: the photograph, as it was given.
        colored: its colouring (of `colorize_files`: the paths written); None if it failed.
        error: why it failed; None if it did not. An exception that nobody foresaw is a PhotoError with the reason
            `unexpected`, whose cause the logger `photo.errors` was told.
    """

    photo: Given
    colored: Colored | None = None
    error: TintypeError | None = None


class LikelyColor(NamedTuple):
    """A colour that a place of a photograph may have.

    Attributes:
        color: sRGB as "#rrggbb", at the photograph's own lightness; a `Hint` takes it as it is.
        share: of the model's distribution of colours there, 0..1.
    """

    color: str
    share: float
