"""Writes coloured frames into a segment, and joins segments with the sound of the film into the result."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.provenance import MACHINE_COLORED, Provenance
from photo.whole_file import whole_file
from serving.video.chroma import LumaCoding
from serving.video.errors import VideoError
from serving.video.options import CODECS, VideoOptions
from serving.video.reading import FilmReader, open_film
from serving.video.segments import Segment, Segments

Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_LIMITED, _FULL = 1, 2  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG
_UNCHANGED = 1  # AVCOL_PRI_BT709 and AVCOL_TRC_BT709: what colours made for sRGB come nearest to


def write_segment(
    path: Path, frames: Iterable[Planes], coding: LumaCoding, reader: FilmReader, options: VideoOptions
) -> None:
    """Encode the planes Y, Cb, Cr of frames, numbered from 0; the file appears whole or not at all."""
    import av

    with whole_file(path) as temporary, av.open(str(temporary), "w", format="matroska") as container:
        stream: Any = None
        for number, planes in enumerate(frames):
            if stream is None:
                height, width = planes[0].shape
                stream = container.add_stream(CODECS[options.codec], rate=1000, options=options.encoder_settings())
                stream.width, stream.height = width, height
                stream.pix_fmt = "yuv420p" if coding.bits == 8 else "yuv420p10le"
                context = stream.codec_context
                context.time_base = Fraction(1, 1000)
                context.sample_aspect_ratio = reader.sample_aspect_ratio
                context.color_range = _FULL if coding.is_full else _LIMITED
                context.colorspace = coding.matrix
                context.color_primaries = context.color_trc = _UNCHANGED
            frame = av.VideoFrame(width, height, stream.pix_fmt)
            frame.color_range = _FULL if coding.is_full else _LIMITED
            frame.colorspace = coding.matrix
            for plane, values in zip(frame.planes, planes, strict=True):
                _fill(plane, values)
            frame.pts, frame.time_base = number, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))


def _fill(plane: Any, values: NDArray[Any]) -> None:
    rows = np.frombuffer(plane, values.dtype).reshape(plane.height, -1)
    rows[:, : values.shape[1]] = values


def join(
    target: Path,
    reader: FilmReader,
    segments: Segments,
    done: Sequence[Segment],
    provenance: Provenance | None,
) -> list[str]:
    """Join segments and what else is in the film into `target`, which appears whole or not at all.

    Returns:
        What the result does not hold, in words.

    Raises:
        VideoError: the container cannot hold it.
    """
    import av

    try:
        with (
            open_film(reader.path) as source,
            whole_file(target) as temporary,
            av.open(
                str(temporary),
                "w",
                format=CONTAINERS[target.suffix.lower()],
                options={"movflags": "+faststart+use_metadata_tags"} if target.suffix.lower() != ".mkv" else {},
            ) as container,
        ):
            return _join(container, source, reader, segments, done, provenance)
    except av.error.FFmpegError as error:
        raise VideoError(f"cannot write {target}: {error.strerror}") from error


def _join(
    container: Any,
    source: Any,
    reader: FilmReader,
    segments: Segments,
    done: Sequence[Segment],
    provenance: Provenance | None,
) -> list[str]:
    import av

    notes: list[str] = []
    container.metadata.update({k: v for k, v in source.metadata.items() if k not in _OF_THE_CONTAINER})
    if provenance is not None:
        container.metadata["comment"] = _mark(source.metadata.get("comment", ""), provenance)
    with av.open(str(segments.film(0))) as first:
        video = container.add_stream_from_template(first.streams.video[0])
    video.time_base = reader.time_base
    video.metadata.update({k: v for k, v in reader.stream.metadata.items() if k == "language"})
    copied: dict[int, Any] = {}
    for stream in source.streams:
        if stream.type not in ("audio", "subtitle"):
            continue
        try:
            copied[stream.index] = container.add_stream_from_template(stream)
            copied[stream.index].metadata.update(stream.metadata)
        except (ValueError, av.error.FFmpegError):
            notes.append(f"the result's container cannot hold its {stream.type} ({stream.codec_context.name})")
    if chapters := source.chapters():
        container.set_chapters(chapters)
    container.start_encoding()
    others = _packets(source, copied)
    other = next(others, None)
    for packet, seconds in _frames(segments, done, reader.time_base):
        while other is not None and _seconds(other) <= seconds:
            container.mux(other)
            other = next(others, None)
        packet.stream = video
        container.mux(packet)
    while other is not None:
        container.mux(other)
        other = next(others, None)
    return notes


_OF_THE_CONTAINER = {"major_brand", "minor_version", "compatible_brands", "encoder"}


def _mark(comment: str, provenance: Provenance) -> str:
    own = f"Colours made by a machine: {provenance.software} ({MACHINE_COLORED})"
    return f"{comment}\n{own}" if comment else own


def _seconds(packet: Any) -> float:
    return float((packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base)


def _packets(source: Any, copied: dict[int, Any]) -> Iterator[Any]:
    import av

    if not copied:
        return
    packets = source.demux([source.streams[index] for index in copied])
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):  # a truncated film ends here
            return
        if packet.dts is None:
            continue
        packet.stream = copied[packet.stream.index]
        yield packet


def _frames(segments: Segments, done: Sequence[Segment], time_base: Fraction) -> Iterable[tuple[Any, float]]:
    """Yield the packets of all frames, with the time that they had in the film."""
    import av

    times = [time for segment in done for time in segment.times]
    steps = [after - before for before, after in pairwise(times)]
    steps.append(steps[-1] if steps else 1)
    number = 0
    for segment in done:
        with av.open(str(segments.film(segment.number))) as container:
            for packet in container.demux(video=0):
                if packet.dts is None:
                    continue
                packet.pts = packet.dts = times[number]
                packet.time_base, packet.duration = time_base, steps[number]
                yield packet, float(times[number] * time_base)
                number += 1
