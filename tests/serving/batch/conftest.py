"""Photographs in folders, a model, and the wire server of the client's tests."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as Tag

from serving.batch.job import BatchJob
from serving.batch.job_options import PATIENT_CONNECTION, JobOptions
from serving.batch.local_runner import local_options
from serving.batch.model_handler import ColorHandler
from serving.batch.model_on_server import ServerHandler, server_handler
from serving.batch.output_settings import OutputSettings
from serving.batch.running import run_batch
from serving.batch.summary import BatchSummary
from serving.client.options import ConnectionOptions
from tests.serving.wire_server import WireServer, running, wire_server  # noqa: F401 - fixtures

TINTYPE = [sys.executable, "-m", "tintype.cli"]


def write_photo(path: Path, shade: int = 0, *, size: tuple[int, int] = (40, 30), **options: Any) -> Path:
    """Write a small gray photograph whose content depends on `shade`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 256, (size[1], size[0]), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Five photographs in a tree, and two files that are none."""
    folder = tmp_path / "scans"
    for number, name in enumerate(["a.jpg", "b.png", "box/c.JPG", "box/deeper/d.tif", "box/deeper/e.webp"]):
        write_photo(folder / name, number)
    (folder / "box" / "text.jpg").write_text("no photograph")
    (folder / "notes.doc").write_text("passed over")
    return folder


def quick(timeout: float = 10) -> ConnectionOptions:
    """A patient connection whose patience ends soon."""
    return replace(PATIENT_CONNECTION, timeout=timeout)


@pytest.fixture
def handler(wire_server: WireServer) -> ServerHandler:  # noqa: F811
    return server_handler(wire_server.address, quick(), batch_size=3)


@pytest.fixture
def colored(handler: ServerHandler, tmp_path: Path) -> Callable[..., BatchSummary]:
    """Colour inputs into `tmp_path/out`, in this process."""
    default_handler = handler

    def run(
        *inputs: str | Path,
        output: str = str(tmp_path / "out"),
        handler: ColorHandler = default_handler,
        settings: OutputSettings = OutputSettings(),  # noqa: B008 - frozen
        sample: int = 0,
        **options: Any,
    ) -> BatchSummary:
        job = BatchJob([str(each) for each in inputs], output, handler, settings, JobOptions(sample=sample, **options))
        return run_batch(job, local_options(1), show_progress=False)

    return run


SQUARE = 64  # of the model below, in pixels


@pytest.fixture(scope="session")
def picture_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 7 of a model whose colour depends on the picture, near and far: convolutions with fixed weights."""
    import tensorflow as tf

    random = np.random.default_rng(7)

    def weights(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)

    first, second, last = weights(5, 5, 1, 16), weights(3, 3, 16, 32), weights(3, 3, 48, 2)

    class Picture(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="L")])
        def colorize(self, L):  # noqa: N803
            near = tf.nn.tanh(tf.nn.conv2d(L / 25.0 - 2.0, first, 1, "SAME"))
            far = tf.nn.tanh(tf.nn.conv2d(tf.nn.avg_pool2d(near, 4, 4, "SAME"), second, 1, "SAME"))
            spread = tf.image.resize(far, tf.shape(L)[1:3])
            return {"ab": 60.0 * tf.nn.tanh(tf.nn.conv2d(tf.concat([near, spread], -1), last, 1, "SAME"))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="name")])
        def describe(self, name):
            count = tf.shape(name)[:1]
            answers = {"recipe": "picture", "size": SQUARE, "stride": 4, "fingerprint": "picture"}
            return {key: tf.fill(count, answer) for key, answer in answers.items()}

    folder = tmp_path_factory.mktemp("picture") / "7"
    model = Picture()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.colorize, "describe": model.describe})
    return folder


def write_portrait(path: Path, size: tuple[int, int], *, mode: str = "L", turned: int = 0, **options: Any) -> Path:
    """Write a photograph that comes with scikit-image: gray, "sepia" or in colour, as if the camera lay on its side."""
    from skimage import data

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(data.astronaut()).resize(size)
    if mode == "sepia":
        shade = np.asarray(image.convert("L"), np.float32)[..., None] / 255
        image = Image.fromarray((255 * shade ** np.array([0.8, 1.0, 1.35])).astype(np.uint8))
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    else:
        image = image.convert(mode)
    exif = Image.Exif()
    if turned:
        exif[Tag.Orientation] = turned
    image.save(path, exif=exif, **options)
    return path


REPORTS = ("report.jsonl", "manifest.parquet", "contact_sheet.html", "summary.json")


def manifest(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a job's manifest."""
    return pyarrow.parquet.read_table(folder / "manifest.parquet").to_pylist()


def files(folder: Path) -> list[str]:
    """Name the photographs below an output, and whatever else should not be there."""
    found = (
        Path(parent, name).relative_to(folder) for parent, _, names in os.walk(folder) for name in names
    )  # os.walk bears it when a running job removes a folder
    return sorted(str(path) for path in found if path.parts[0] != ".tintype" and str(path) not in REPORTS)
