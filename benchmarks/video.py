"""Measures films: how steady colours are, how true, and how many frames a second; against frame by frame.

    python benchmarks/video.py --server localhost:8500 --photos ../shared/data/scenes_val.zip

Films pan and zoom over photographs, with a cut from each to the next, by a motion that is known; their truth is in
colour. The warping error is that of Lai et al., "Learning Blind Video Temporal Consistency" (2018), in a*b* with the
known motion: the mean difference between a frame's colour and the last one's, moved; what enters at the border is left
out. Flicker is the mean difference between frames of a film that stands still under grain.
"""

import argparse
import time
from collections.abc import Sequence
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from photo.archives import FileEntry, FileReader
from photo.color import rgb_to_lab
from photo.decoding import decode_photo
from photo.errors import PhotoError
from photo.finding import find_photographs
from photo.folders import list_folder
from serving.client.colorizer import Colorizer
from serving.video import coloring
from serving.video.motion import Motion, move
from serving.video.options import VideoOptions

_RATE = 24
Frames = list[NDArray[np.uint8]]
AffineMaps = list[NDArray[np.float32]]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--photos", required=True, help="a folder or archive of colour photographs")
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--frames", type=int, default=48, help="of a shot")
    parser.add_argument("--speed", type=int, default=120, help="frames of the 720p film; 0 leaves it out")
    given = parser.parse_args()
    photos = _photos(given.photos, given.shots)
    with Colorizer(given.server) as colorizer, TemporaryDirectory() as folder:
        _steadiness(colorizer, photos, given.frames, Path(folder))
        if given.speed:
            _speed(colorizer, photos, given.speed, Path(folder))


def _photos(place: str, count: int) -> Frames:
    photos: Frames = []
    with FileReader() as reader:
        entries = (e for e in find_photographs(list_folder(place), place, reader) if isinstance(e, FileEntry))
        for _, data in reader.read_all(entries):
            if isinstance(data, PhotoError):
                continue
            rgb = np.asarray(decode_photo(data).rgb)
            if rgb.dtype == np.uint8 and np.abs(rgb_to_lab(rgb)[..., 1:]).mean() > 6:
                photos.append(np.asarray(rgb, np.uint8))
            if len(photos) == count:
                break
    return photos


def _shot(photo: NDArray[np.uint8], count: int, *, moves: bool, seed: int) -> tuple[Frames, AffineMaps]:
    """Return a shot of 144 x 256 pixels, and for each frame the affine map from its places to the photograph's."""
    random = np.random.default_rng(seed)
    angle, scale = random.uniform(0, 2 * np.pi), photo.shape[1] / 256
    maps: AffineMaps = []
    frames: Frames = []
    for number in range(count):
        at = number / max(count - 1, 1) - 0.5 if moves else 0.0
        zoom = scale * 0.7 * (1 + 0.25 * at)
        shift = photo.shape[1] * 0.12 * at * np.array([np.cos(angle), np.sin(angle)])
        center = np.array(photo.shape[1::-1]) / 2 + shift
        place = np.array([[zoom, 0, center[0] - 128 * zoom], [0, zoom, center[1] - 72 * zoom]], np.float32)
        maps.append(place)
        frame = cv2.warpAffine(
            photo, place, (256, 144), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
        frames.append(np.asarray(frame, np.uint8))
    return frames, maps


def _flow(this: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where the places of this frame were in the one before: x and y to add."""
    y, x = np.indices((144, 256), np.float32)
    there = np.stack([x * this[0, 0] + this[0, 2], y * this[1, 1] + this[1, 2]], -1)
    return np.stack(
        [(there[..., 0] - before[0, 2]) / before[0, 0] - x, (there[..., 1] - before[1, 2]) / before[1, 1] - y], -1
    ).astype(np.float32)


def _write_gray(path: Path, frames: Sequence[NDArray[np.uint8]], grain: float = 0.0) -> None:
    random = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"crf": "12", "preset": "veryfast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for rgb in frames:
            gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
            if grain:
                gray = gray * random.normal(1, 0.02) + random.normal(0, grain, gray.shape)
            noisy = np.clip(gray, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.repeat(noisy[..., None], 3, 2), "rgb24")))
        container.mux(stream.encode(None))


def _ab_of(path: Path) -> list[NDArray[np.float32]]:
    with av.open(str(path)) as container:
        return [rgb_to_lab(frame.to_ndarray(format="rgb24"))[..., 1:] for frame in container.decode(video=0)]


def _warping_error(shots: Sequence[Sequence[NDArray[np.float32]]], maps: Sequence[AffineMaps]) -> float:
    errors = []
    inside = (slice(8, -8), slice(8, -8))
    for shot, places in zip(shots, maps, strict=True):
        for index in range(1, len(shot)):
            moved = move(np.ascontiguousarray(shot[index - 1]), _flow(places[index], places[index - 1]))
            errors.append(np.abs(shot[index] - moved)[inside].mean())
    return float(np.mean(errors))


def _frame_by_frame(
    predicted: Sequence[NDArray[np.float32] | None],
    between: Sequence[tuple[Motion, Motion]],
    before: tuple[NDArray[np.float32], Motion] | None = None,
) -> list[NDArray[np.float32]]:
    return [ab for ab in predicted if ab is not None]


def _colored(
    colorizer: Colorizer, source: Path, target: Path, options: VideoOptions, *, steadily: bool = True
) -> list[NDArray[np.float32]]:
    way: Any = nullcontext() if steadily else patch.object(coloring, "steady", _frame_by_frame)
    with way:
        colorizer.colorize_video(source, target, options)
    return _ab_of(target)


def _steadiness(colorizer: Colorizer, photos: Frames, count: int, folder: Path) -> None:
    made = [_shot(photo, count, moves=True, seed=index) for index, photo in enumerate(photos)]
    maps = [places for _, places in made]
    truth = [[rgb_to_lab(frame)[..., 1:] for frame in frames] for frames, _ in made]
    moving, still = folder / "moving.mkv", folder / "still.mkv"
    _write_gray(moving, [frame for frames, _ in made for frame in frames], grain=2.0)
    _write_gray(still, _shot(photos[0], count, moves=False, seed=0)[0], grain=2.0)
    print("| | warping error | error against the truth | flicker, standing still |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| the true film | {_warping_error(truth, maps):.3f} | 0 | 0 |")
    ways = {"frame by frame": (1, False), "steady": (1, True), "steady, --every 2": (2, True)}
    for name, (every, steadily) in ways.items():
        options = VideoOptions(every=every, quality=8, overwrite=True)
        ab = _colored(colorizer, moving, folder / "out.mkv", options, steadily=steadily)
        shots = [ab[start : start + count] for start in range(0, len(ab), count)]
        error = np.abs(np.array(shots) - np.array(truth)).mean()
        standing = np.stack(_colored(colorizer, still, folder / "out.mkv", options, steadily=steadily))
        flicker = np.abs(np.diff(standing, axis=0)).mean()
        print(f"| {name} | {_warping_error(shots, maps):.3f} | {error:.2f} | {flicker:.3f} |", flush=True)


def _speed(colorizer: Colorizer, photos: Frames, count: int, folder: Path) -> None:
    frames = [cv2.resize(frame, (1280, 720)) for frame in _shot(photos[0], count, moves=True, seed=0)[0]]
    source = folder / "large.mkv"
    _write_gray(source, [np.asarray(frame, np.uint8) for frame in frames])
    start = time.perf_counter()
    _transcode(source, folder / "bare.mkv")
    print(f"\n720p, frames a second: bare decode and encode {count / (time.perf_counter() - start):.1f}", end="")
    for every in (1, 2):
        start = time.perf_counter()
        colorizer.colorize_video(source, folder / "large-out.mkv", VideoOptions(every=every, overwrite=True))
        print(f"; --every {every} {count / (time.perf_counter() - start):.1f}", end="", flush=True)
    print()


def _transcode(source: Path, target: Path) -> None:
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        read.streams.video[0].thread_type = "AUTO"
        stream = written.add_stream("libx264", rate=_RATE, options=VideoOptions().encoder_settings())
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for number, frame in enumerate(read.decode(video=0)):
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))


if __name__ == "__main__":
    main()
