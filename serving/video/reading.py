"""Reads films of any kind that FFmpeg knows, frame by frame; only the luma of a frame is kept."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serving.video.chroma import BT601, BT709, LumaCoding
from serving.video.errors import VideoError

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

MOST_PIXELS = 7680 * 4320
"""Of a frame: 8K."""

_FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG
_MATRICES = (1, 5, 6, 9)
_LOWEST_OF_HD = 720
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<MPD")  # they name other files, and FFmpeg waits for more without an end


@dataclass(frozen=True)
class Frame:
    """A frame, upright.

    Attributes:
        luma: uint8 or, of ten bits, uint16 [H, W]; both sides are even.
        pts: its time, in `FilmReader.time_base`.
    """

    luma: NDArray[Any]
    pts: int


@dataclass
class FilmReader:
    """Reads the first video stream of a file; a context manager.

    Attributes:
        path: of the file.
        coding: how the numbers of its frames are meant.
        time_base: seconds of one unit of a frame's time.
        frames_expected: how many frames the file says or seems to hold; 0 where nobody knows.
        notes: what is to be said of how it was read, in words; whole when it was read to its end.

    Raises:
        VideoError: there is nothing in it that could be read.
    """

    path: Path
    coding: LumaCoding = field(init=False)
    time_base: Fraction = field(init=False)
    frames_expected: int = field(init=False)
    notes: list[str] = field(default_factory=list)

    def __enter__(self) -> "FilmReader":
        """Open the file and look at its first frame."""
        self._container = open_film(self.path)
        try:
            self._look()
        except BaseException:
            self._container.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._container.close()

    @property
    def stream(self) -> "VideoStream":
        """The stream that is read."""
        stream: VideoStream = self._container.streams.video[0]
        return stream

    def _look(self) -> None:
        import av

        stream = self.stream
        width, height = stream.width, stream.height
        if width * height > MOST_PIXELS:
            raise VideoError(f"{self.path}: frames of {width} x {height} pixels; at most {MOST_PIXELS:,} are read")
        stream.thread_type = "AUTO"
        self.time_base = stream.time_base or Fraction(1, 90_000)
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None and not width * height:  # FFmpeg takes a size away that is beyond its own limit
            words = f"the size of its frames is not told, or larger than can be read; at most {MOST_PIXELS:,} pixels"
            raise VideoError(f"{self.path}: {words}")
        if first is None:
            raise VideoError(f"{self.path}: no frame of it can be read; it is empty, damaged or encrypted")
        self._first = first
        self._turns = round((first.rotation or 0) / 90) % 4
        self._deinterlacer: av.filter.Graph | None = None
        if first.interlaced_frame:
            self.notes.append("it is interlaced; its frames were deinterlaced (bwdif)")
            self._deinterlacer = av.filter.Graph()
            self._deinterlacer.link_nodes(
                self._deinterlacer.add_buffer(template=stream),
                self._deinterlacer.add("bwdif", "mode=send_frame:deint=all"),
                self._deinterlacer.add("buffersink"),
            ).configure()
        if self._turns:
            self.notes.append(f"its frames were turned by {self._turns * 90} degrees, as it says, to stand upright")
        if width % 2 or height % 2:
            self.notes.append(f"its frames of {width} x {height} were widened by one pixel to even sides")
        self.coding = _coding(first)
        seconds = float(stream.duration * self.time_base) if stream.duration else 0.0
        rate = float(stream.average_rate or 0)
        self.frames_expected = stream.frames or round(seconds * rate)

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""
        return self.stream.average_rate or Fraction(25)

    @property
    def sample_aspect_ratio(self) -> Fraction:
        """Width of a pixel over its height, of upright frames."""
        ratio = self.stream.sample_aspect_ratio or Fraction(1)
        return 1 / ratio if self._turns % 2 else ratio

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the frames in their order, once; broken ones are passed over, and `notes` says how many."""
        last: int | None = None
        for frame in self._even():
            pts = frame.pts if frame.pts is not None else (0 if last is None else last + self._usual_step())
            pts = pts if last is None else max(pts, last + 1)
            last = pts
            yield Frame(self._luma(frame), pts)

    def _usual_step(self) -> int:
        return max(1, round(1 / (self.rate * self.time_base)))

    def _even(self) -> "Iterator[av.VideoFrame]":
        from itertools import chain

        frames = map(self._of_one_size, chain([self._first], self._decoded))
        if self._deinterlacer is None:
            yield from frames
            return
        import av

        for frame in chain(frames, [None]):
            self._deinterlacer.push(frame)
            while True:
                try:
                    pulled = self._deinterlacer.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
                assert isinstance(pulled, av.VideoFrame)
                pulled.pts = None if pulled.pts is None else self._in_own_time(pulled)
                yield pulled

    def _of_one_size(self, frame: "av.VideoFrame") -> "av.VideoFrame":
        width, height = self._first.width, self._first.height
        if (frame.width, frame.height) == (width, height):
            return frame
        note = f"the size of its frames changes; all are brought to the first's, {width} x {height}"
        if note not in self.notes:
            self.notes.append(note)
        return frame.reformat(width, height)

    def _in_own_time(self, frame: "av.VideoFrame") -> int:
        if frame.pts is None or frame.time_base is None:
            return 0
        return round(frame.pts * frame.time_base / self.time_base)

    def _decode(self) -> "Iterator[av.VideoFrame]":
        import av

        broken = 0
        packets = self._container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                break
            except av.error.EOFError:
                break
            except av.error.InvalidDataError:
                broken += 1
                if broken > max(100, self.stream.frames):
                    break
                continue
            except av.error.FFmpegError as error:
                self.notes.append(f"reading ended early: {error.strerror}")
                break
            for frame in frames:
                if frame.is_corrupt:
                    broken += 1
                elif isinstance(frame, av.VideoFrame):
                    yield frame
        if broken:
            self.notes.append(f"{broken} broken frame{'s were' if broken > 1 else ' was'} passed over")

    def _luma(self, frame: "av.VideoFrame") -> NDArray[Any]:
        name, bits = frame.format.name, self.coding.bits
        if not _holds_luma(name, bits):
            frame = frame.reformat(format="yuv420p" if bits == 8 else "yuv420p10le", dst_colorspace=self.coding.matrix)
        plane = frame.planes[0]
        dtype = np.dtype(np.uint8 if bits == 8 else "<u2")
        luma = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width]
        luma = np.rot90(luma, self._turns)
        odd = [(0, side % 2) for side in luma.shape]
        return np.pad(luma, odd, mode="edge") if any(odd[0] + odd[1]) else np.array(luma)


def open_film(path: Path) -> Any:
    """Open a film.

    Raises:
        VideoError: it is no film, or holds no moving picture.
    """
    import av

    if path.exists() and not path.is_file():
        raise VideoError(f"{path}: no file; a folder, or a stream that may have no end, cannot be coloured")
    if not path.is_file():
        raise VideoError(f"{path}: no such file")
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        raise VideoError(f"{path}: the file is empty")
    if start.startswith(_PLAYLISTS):
        raise VideoError(f"{path}: a playlist, no film; give the films that it names")
    if _is_text(start):
        raise VideoError(f"{path}: a text file, no film")  # FFmpeg draws text as a film
    try:
        container = av.open(str(path.resolve()))
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(f"{path}: no film that can be read ({getattr(error, 'strerror', error)})") from error
    if not container.streams.video or container.streams.video[0].codec_context is None:
        container.close()
        raise VideoError(f"{path}: there is no video stream in it that can be read")
    return container


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else a character is cut off
            return False
        text = start[: error.start].decode()
    return all(character.isprintable() or character in "\t\r\n\ufeff" for character in text)


def _coding(frame: "av.VideoFrame") -> LumaCoding:
    name = frame.format.name
    is_gray, is_rgb = name.startswith("gray"), frame.format.is_rgb
    bits = 10 if max(component.bits for component in frame.format.components) > 8 else 8
    is_full = not is_rgb and (is_gray or name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE)
    matrix = int(frame.colorspace)
    if matrix not in _MATRICES:
        matrix = BT709 if frame.height >= _LOWEST_OF_HD or is_rgb else BT601
    return LumaCoding(bits, is_full, matrix)


def _holds_luma(name: str, bits: int) -> bool:
    """Return whether the first plane of a pixel format is luma of so many bits, each sample by itself."""
    if bits == 10:
        return name == "gray10le" or (name.startswith("yuv4") and name.endswith("p10le"))
    return name == "gray" or (name.startswith(("yuv4", "yuvj4")) and name.endswith("p")) or name in ("nv12", "nv21")
