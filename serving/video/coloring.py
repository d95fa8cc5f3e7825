"""`color_video`: a film from the file to its coloured one, part by part."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.coloring import Prepared, hint_map
from photo.geometry import crop, fit_square
from photo.locks import locked
from photo.provenance import provenance_now
from serving.model.description import ModelDescription
from serving.video.cuts import is_cut
from serving.video.errors import VideoError
from serving.video.motion import Float32, Motion, motions, move
from serving.video.options import TimedHint, VideoOptions
from serving.video.reading import FilmReader, Frame
from serving.video.segments import Segment, Segments
from serving.video.steady_colors import motions_of_shot, steady
from serving.video.writing import CONTAINERS, Planes, join, write_segment

# A part of a film that is worked on at once: a shot, or what of a longer one fits. Three are held at a time.
_MOST_FRAMES = 96
_MOST_BYTES = 200 << 20
_BATCH = 16


class Model(Protocol):
    """What finds colours: a `Colorizer`."""

    def describe(self) -> ModelDescription:
        """Say what it is."""

    def predict_ab(self, lightness: NDArray[Any], hints: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Find a*b* [N, S, S, 2] of L* [N, S, S, 1]."""


@dataclass(frozen=True)
class VideoResult:
    """What became of a film.

    Attributes:
        path: of the result.
        frames: how many it has.
        shots: how many were told apart.
        resumed: how many frames an earlier run had coloured.
        notes: how it was read, and what the result does not hold, in words.
    """

    path: Path
    frames: int
    shots: int
    resumed: int
    notes: tuple[str, ...]


@dataclass
class _Part:
    """Frames of one shot that are worked on at once."""

    number: int
    starts_shot: bool
    frames: list[Frame] = field(default_factory=list)
    squares: list[Float32] = field(default_factory=list)
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    ends_shot: bool = True

    def contents(self) -> list[Float32]:
        return [np.ascontiguousarray(crop(square, self.box)) for square in self.squares]


def color_video(
    model: Model,
    source: Path,
    target: Path,
    options: VideoOptions = VideoOptions(),  # noqa: B008 - frozen
    *,
    hints: Sequence[TimedHint] = (),
    progress: Callable[[int, int], None] = lambda done, expected: None,
) -> VideoResult:
    """Colour a film into another file, which appears whole or not at all.

    Its luma stays as it is, and colours are steady along the motion of a shot. Parts that are done lie in a folder
    beside the result until it is whole; a run that was killed goes on after the last of them.

    Args:
        model: what finds colours.
        source: the film: any kind that FFmpeg reads.
        target: an .mp4, .m4v, .mov or .mkv file.
        options: how.
        hints: colours that places are to have from a time on.
        progress: called with the frames done and expected (0 where nobody knows).

    Raises:
        VideoError: the film cannot be used, or the result not be written.
        TintypeError: the model cannot be asked.
    """
    if target.suffix.lower() not in CONTAINERS:
        raise VideoError(f"{target}: what is written are films named {', '.join(CONTAINERS)}")
    if target.resolve() == source.resolve():
        raise VideoError(f"the result would replace {source} itself")
    if target.exists() and not options.overwrite:
        raise VideoError(f"{target} exists already; --overwrite replaces it")
    with FilmReader(source) as reader:
        described = model.describe()
        folder = target.with_name(f".{target.name}.parts")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock"), busy=f"another process colours into {target}"):
            job = _Job(model, described, reader, Segments(folder), options, tuple(hints), progress)
            result = job.run(target)
        target.with_name(f".{target.name}.lock").unlink(missing_ok=True)
    return result


@dataclass
class _Job:
    model: Model
    described: ModelDescription
    reader: FilmReader
    segments: Segments
    options: VideoOptions
    hints: tuple[TimedHint, ...]
    progress: Callable[[int, int], None]

    def run(self, target: Path) -> VideoResult:
        done = self.segments.start(self._identity())
        resumed = sum(len(segment.times) for segment in done)
        tail = self.segments.tail(done[-1].number) if done and not done[-1].ends_shot else None
        ended = threading.Event()
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(1) as behind:
            parts = self._parts(done, tail)
            coming = ahead.submit(next, parts, None)
            written: Future[None] | None = None
            try:
                while (part := coming.result()) is not None:
                    coming = ahead.submit(next, parts, None)
                    steadied = self._steadied(part, tail)
                    if written is not None:
                        written.result()
                    last = (part.contents()[-1], steadied[-1])
                    tail = None if part.ends_shot else last
                    before = sum(len(segment.times) for segment in done)
                    done.append(Segment(part.number, tuple(f.pts for f in part.frames), part.ends_shot))
                    written = behind.submit(self._write, part, steadied, done[-1], last, before, ended)
                if written is not None:
                    written.result()
            except BaseException as error:
                if not isinstance(error, Exception):  # somebody wants it to end now; else the part is worth its seconds
                    ended.set()
                coming.cancel()
                raise
        if not done:
            raise VideoError(f"{self.reader.path}: no frame of it can be read")
        provenance = provenance_now(self.described.fingerprint) if self.options.mark_metadata else None
        notes = join(target, self.reader, self.segments, done, provenance)
        self.segments.clear()
        frames = sum(len(segment.times) for segment in done)
        if frames < 0.9 * self.reader.frames_expected:
            notes.append(f"it is cut off: {frames} of {self.reader.frames_expected} frames could be read")
        shots = sum(segment.ends_shot for segment in done)
        return VideoResult(target, frames, max(1, shots), resumed, (*self.reader.notes, *notes))

    def _identity(self) -> dict[str, Any]:
        found = self.reader.path.stat()
        return {
            "film": [str(self.reader.path.resolve()), found.st_size, found.st_mtime_ns],
            "options": asdict(replace(self.options, mark_metadata=True, overwrite=False)),
            "hints": [[hint.seconds, hint.hint.document()] for hint in self.hints],
            "model": self.described.fingerprint,
        }

    def _parts(self, done: Sequence[Segment], tail: tuple[Float32, Float32] | None) -> Iterator[_Part]:
        """Read the frames that are not done, cut into shots and these into parts."""
        skipped = sum(len(segment.times) for segment in done)
        part = _Part(len(done), starts_shot=tail is None)
        size, last = 0, None if tail is None else tail[0]
        with closing(self.reader.frames()) as frames:
            for index, frame in enumerate(frames):
                if index < skipped:
                    continue
                square, box = self._square(frame)
                content = np.ascontiguousarray(crop(square, box))
                cuts = last is not None and is_cut(last, content)
                is_full = len(part.frames) >= _MOST_FRAMES or size + frame.luma.nbytes > _MOST_BYTES
                if part.frames and (cuts or is_full):
                    part.ends_shot = cuts
                    yield part
                    part, size = _Part(part.number + 1, starts_shot=cuts), 0
                elif cuts:
                    part.starts_shot = True
                part.frames.append(frame)
                part.squares.append(square)
                part.box, last = box, content
                size += frame.luma.nbytes
        if part.frames:
            yield part

    def _square(self, frame: Frame) -> tuple[Float32, tuple[int, int, int, int]]:
        """Return L* in the model's square; pixels that are not square are made so only by the network's own size."""
        size = self.described.size
        scale = size / max(frame.luma.shape)
        if scale < 1:
            height, width = (max(1, round(side * scale)) for side in frame.luma.shape)
            luma = cv2.resize(frame.luma, (width, height), interpolation=cv2.INTER_AREA)
        else:
            luma = frame.luma
        return fit_square(self.reader.coding.lightness(luma), size)

    def _steadied(self, part: _Part, tail: tuple[Float32, Float32] | None) -> list[Float32]:
        contents = part.contents()
        between = motions_of_shot(contents)
        predicted = self._predicted(part, between)
        before: tuple[Float32, Motion] | None = None
        if tail is not None and not part.starts_shot:
            before = (tail[1], motions(contents[0], tail[0])[0])
        return steady(predicted, between, before)

    def _predicted(self, part: _Part, between: Sequence[tuple[Motion, Motion]]) -> list[Float32 | None]:
        asked = list(range(0, len(part.squares), self.options.every))
        hint_maps = self._hint_maps(part, between)
        found: list[Float32 | None] = [None] * len(part.squares)
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            lightness = np.stack([part.squares[index] for index in batch])[..., None].astype(np.float32)
            maps = None if hint_maps is None else np.stack([hint_maps[index] for index in batch])
            for index, ab in zip(batch, self.model.predict_ab(lightness, maps), strict=True):
                found[index] = np.array(crop(ab, part.box), np.float32)
        return found

    def _hint_maps(self, part: _Part, between: Sequence[tuple[Motion, Motion]]) -> list[NDArray[np.float32]] | None:
        """Draw the hints whose time lies in this part into each of its frames, moved along; None where there are none.

        A place that goes out of sight takes its hint with it.
        """
        times = [frame.pts * float(self.reader.time_base) for frame in part.frames]
        start = float((self.reader.stream.start_time or 0) * self.reader.time_base)
        maps: list[NDArray[np.float32]] | None = None
        for timed in self.hints:
            at = timed.seconds + start
            step = 1 / float(self.reader.rate)
            if not times[0] - step / 2 <= at < times[-1] + step / 2:
                continue
            maps = maps or [np.zeros((*square.shape, 3), np.float32) for square in part.squares]
            index = int(np.argmin(np.abs(np.array(times) - at)))
            square = part.squares[index]
            lightness = np.ascontiguousarray(crop(square, part.box))
            drawn = hint_map(Prepared(square[..., None], part.box, lightness, np.uint8, None, (timed.hint,)))
            self._carry(maps, np.ascontiguousarray(crop(drawn, part.box)), index, part, between)
        return maps

    def _carry(
        self,
        maps: list[NDArray[np.float32]],
        drawn: Float32,
        at: int,
        part: _Part,
        between: Sequence[tuple[Motion, Motion]],
    ) -> None:
        later = [(index, between[index - 1][0]) for index in range(at + 1, len(maps))]
        earlier = [(index, between[index][1]) for index in range(at - 1, -1, -1)]
        for steps in ([(at, None), *later], earlier):
            moved = drawn
            for index, motion in steps:
                if motion is not None:
                    moved = move(moved, motion.flow)
                content = crop(maps[index], part.box)
                is_hinted = moved[..., 2] > 1 / 3
                content[is_hinted, :2] = moved[is_hinted, :2] / moved[is_hinted, 2:]
                content[is_hinted, 2] = 1

    def _write(
        self,
        part: _Part,
        steadied: Sequence[Float32],
        segment: Segment,
        last: tuple[Float32, Float32],
        before: int,
        ended: threading.Event,
    ) -> None:
        """Write a part; `before` it lie so many frames."""

        def planes() -> Iterator[Planes]:
            for number, (frame, ab, lightness) in enumerate(zip(part.frames, steadied, part.contents(), strict=True)):
                if ended.is_set():
                    raise VideoError("stopped")
                vivid = np.clip(np.float32(self.options.strength) * ab, -1000, 1000)
                yield (frame.luma, *self.reader.coding.chroma(frame.luma, vivid, lightness))
                self.progress(before + number + 1, self.reader.frames_expected)

        write_segment(self.segments.film(part.number), planes(), self.reader.coding, self.reader, self.options)
        self.segments.finish(segment, last)
