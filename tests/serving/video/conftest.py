"""Small films, made with the real encoder, and the server that colours them."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from serving.client.colorizer import Colorizer
from tests.serving.wire_server import wire_server  # noqa: F401 - a fixture


def texture(seed: int, height: int = 200, width: int = 320) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def pan(seed: int, count: int, size: tuple[int, int] = (64, 96), step: int = 1) -> list[np.ndarray]:
    whole = texture(seed)
    return [whole[20 : 20 + size[0], step * n : step * n + size[1]] for n in range(count)]


@pytest.fixture
def film(tmp_path):
    def write(
        name: str,
        frames: list[np.ndarray],
        *,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        times: list[int] | None = None,
        sound: bool = False,
        options: dict[str, str] | None = None,
        aspect: Fraction | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            container.metadata["title"] = "grandfather"
            stream = container.add_stream(codec, rate=25, options=options or {})
            stream.height, stream.width = frames[0].shape
            stream.pix_fmt = pix_fmt
            stream.codec_context.time_base = Fraction(1, 1000)
            if aspect:
                stream.codec_context.sample_aspect_ratio = aspect
            audio = container.add_stream("aac", rate=8000, layout="mono") if sound else None
            for number, luma in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(luma, "gray").reformat(format=pix_fmt)
                frame.pts, frame.time_base = times[number] if times else 40 * number, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if audio:
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
                samples.sample_rate = 8000
                container.mux(audio.encode(samples))
                container.mux(audio.encode(None))
        return path

    return write


@pytest.fixture
def colorizer(wire_server):  # noqa: F811
    with Colorizer(wire_server.address) as client:
        yield client


def planes(path: Path) -> list[list[np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            [
                np.frombuffer(plane, np.uint8 if frame.format.components[0].bits == 8 else "<u2").reshape(
                    plane.height, -1
                )[:, : plane.width]
                for plane in frame.planes
            ]
            for frame in container.decode(video=0)
        ]
