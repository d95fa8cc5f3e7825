"""What the client returns: `ColoringResult`, what became of one of many photographs, and `LikelyColor`."""

from dataclasses import dataclass
from pathlib import Path
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
        notes: of `colorize_files`: what a person should know of how the file was read and of what the result does not
            hold, each in words.
    """

    photo: Given
    colored: Colored | None = None
    error: TintypeError | None = None
    notes: tuple[str, ...] = ()


class WrittenFiles(NamedTuple):
    """What became of a photograph's file.

    Attributes:
        paths: the files written.
        notes: as in `ColoringResult`.
    """

    paths: list[Path]
    notes: tuple[str, ...]


def of_files(result: ColoringResult[Given, WrittenFiles]) -> ColoringResult[Given, list[Path]]:
    """Return the result with the paths as what was coloured, and the notes beside them."""
    if result.colored is None:
        return ColoringResult(result.photo, error=result.error)
    return ColoringResult(result.photo, result.colored.paths, notes=result.colored.notes)


class LikelyColor(NamedTuple):
    """A colour that a place of a photograph may have.

    Attributes:
        color: sRGB as "#rrggbb", at the photograph's own lightness; a `Hint` takes it as it is.
        share: of the model's distribution of colours there, 0..1.
    """

    color: str
    share: float
