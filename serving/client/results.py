"""`ColoringResult`: what became of one of many photographs."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from photo.errors import TintypeError

Given = TypeVar("Given")
Colored = TypeVar("Colored")


@dataclass(frozen=True)
class ColoringResult(Generic[Given, Colored]):
    """What became of one of many photographs.

    Attributes:
        photo: the photograph, as it was given.
        colored: its colouring (of `colorize_files`: the paths written); None if it failed.
        error: why it failed; None if it did not.
    """

    photo: Given
    colored: Colored | None = None
    error: TintypeError | None = None
