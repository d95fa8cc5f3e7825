"""What travels between the steps of a batch pipeline: a photograph found, read, prepared and coloured."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photo.archives import FileEntry
from photo.coloring import Prepared
from photo.folders import printable
from photo.hints import Hint
from photo.metadata import Metadata
from serving.batch.outcomes import Outcome

OUTCOMES = "outcomes"  # tag of the output of every step that takes what goes no further

# What such a step yields: its element, or an outcome that is tagged. Any, because Beam chooses coders by annotations
# and would give photographs, which never leave their worker, one of their own.
ElementOrOutcome = Any


class Task(NamedTuple):
    """A photograph to colour: where it lies, where its colouring goes, and what an earlier run says of that.

    Attributes:
        entry: the file.
        output: name of the colouring below the output.
        key: as in `Outcome`.
        record: of an earlier run; None where there is none. Of a photograph that was read: None unless its output is as
            wanted should the photograph have no tint to keep.
    """

    entry: FileEntry
    output: str
    key: str
    record: Outcome | None

    @property
    def shown_path(self) -> str:
        """How reports name the photograph."""
        return shown_path(self.entry)


@dataclass(frozen=True)
class LoadedPhoto:
    """A photograph as it was read.

    Attributes:
        task: where it came from and goes.
        data: the file's bytes.
        sha256: of them, hexadecimal.
        seconds: that were spent on it so far.
        hints: colours that a person asks for.
    """

    task: Task
    data: bytes
    sha256: str
    seconds: float
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True)
class PreparedPhoto:
    """A photograph on its way through the network; its own pixels are dropped, only its lightness is kept.

    Attributes:
        task: where it came from and goes.
        input_bytes: size of its file.
        input_sha256: of its file, hexadecimal.
        prepared: its lightness, and the square for the network; of several the largest.
        metadata: of the photograph.
        alpha: as in `Photo`.
        notes: as in `Photo`.
        seconds: that were spent on it so far.
        smaller: the same at the other sides at which the model is asked.
        more_pages: of a TIFF that becomes one, its other pages.
        hints: of the photograph, as they were given; those of the page alone are in `prepared`.
    """

    task: Task
    input_bytes: int
    input_sha256: str
    prepared: Prepared
    metadata: Metadata
    alpha: NDArray[Any] | None
    notes: tuple[str, ...]
    seconds: float
    smaller: tuple[Prepared, ...] = ()
    more_pages: "tuple[PreparedPhoto, ...]" = ()
    hints: tuple[Hint, ...] = ()

    @property
    def pages(self) -> "tuple[PreparedPhoto, ...]":
        """All of its pages."""
        return (self, *self.more_pages)


@dataclass(frozen=True)
class ColoredPhoto:
    """A photograph and the colour that the network found.

    Attributes:
        photo: its lightness and metadata.
        ab: of each of its pages a*b* of the square, float32 [S, S, 2].
        model_version: of the model that coloured it.
        model_fingerprint: of the model that coloured it.
    """

    photo: PreparedPhoto
    ab: tuple[NDArray[np.float32], ...]
    model_version: str
    model_fingerprint: str


def shown_path(entry: FileEntry) -> str:
    """Return how reports name a file: its path, and inside an archive `archive!name`."""
    location = printable(entry.location)
    return location if entry.kind == "file" else f"{location}!{entry.name}"
