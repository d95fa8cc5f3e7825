"""The parts of a coloured film on its way: each is a file by itself, so that a killed run goes on after the last."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.whole_file import whole_file, write_whole


@dataclass(frozen=True)
class Segment:
    """A part that is done.

    Attributes:
        number: from 0.
        times: of its frames, in the film's time base.
        ends_shot: whether the next frame is another shot's.
    """

    number: int
    times: tuple[int, ...]
    ends_shot: bool


@dataclass(frozen=True)
class Segments:
    """The parts of one film in a folder of their own beside the result."""

    folder: Path

    def start(self, job: dict[str, Any]) -> list[Segment]:
        """Make the folder, and return what an earlier run of the same job has done.

        Args:
            job: what a result depends on, as JSON; parts of another job are removed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        told = self.folder / "job.json"
        text = json.dumps(job, sort_keys=True)
        if not (told.is_file() and told.read_text(encoding="utf-8") == text):
            self.clear()
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(told, text)
        done: list[Segment] = []
        while (found := self._record(len(done))).is_file() and self.film(len(done)).is_file():
            document = json.loads(found.read_text(encoding="utf-8"))
            done.append(Segment(document["number"], tuple(document["times"]), document["ends_shot"]))
        return done

    def film(self, number: int) -> Path:
        """Return where the frames of a part are."""
        return self.folder / f"{number:06}.mkv"

    def _record(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"

    def finish(self, segment: Segment, tail: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
        """Note that a part is done, after its frames are: L* and steady a*b* of its last frame go with it."""
        with whole_file(self._tail(segment.number)) as temporary, temporary.open("wb") as file:
            np.savez(file, lightness=tail[0], ab=tail[1])
        write_whole(self._record(segment.number), json.dumps(asdict(segment)))

    def tail(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return L* [H, W] and a*b* [H, W, 2] of the last frame of a part."""
        with np.load(self._tail(number)) as arrays:
            return arrays["lightness"], arrays["ab"]

    def _tail(self, number: int) -> Path:
        return self.folder / f"{number:06}.npz"

    def clear(self) -> None:
        """Remove the folder and the parts in it."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.suffix in (".mkv", ".json", ".npz", ".part"):
                os.unlink(path)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
