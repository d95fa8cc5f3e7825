"""Photographs in folders, a model, and the wire server of the client's tests."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.batch.job import BatchJob, Summary, local_options, run_batch
from serving.batch.models import ServerHandler, server_handler
from tests.serving.client.conftest import WireServer, running, wire_server  # noqa: F401 - fixtures

TINTYPE = [sys.executable, "-m", "tintype.cli"]


def write_photo(path: Path, shade: int = 0, *, size: tuple[int, int] = (40, 30), **options) -> Path:
    """Write a small gray photograph whose content depends on `shade`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 256, (size[1], size[0]), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def scans(tmp_path) -> Path:
    """Five photographs in a tree, and two files that are none."""
    folder = tmp_path / "scans"
    for number, name in enumerate(["a.jpg", "b.png", "box/c.JPG", "box/deeper/d.tif", "box/deeper/e.webp"]):
        write_photo(folder / name, number)
    (folder / "box" / "text.jpg").write_text("no photograph")
    (folder / "notes.doc").write_text("passed over")
    return folder


@pytest.fixture
def handler(wire_server) -> ServerHandler:  # noqa: F811
    return server_handler(wire_server.address, timeout=10, batch_size=3)


@pytest.fixture
def colored(handler, tmp_path) -> Callable[..., Summary]:
    """Colour inputs into `tmp_path/out`, in this process."""

    def run(*inputs, **changes) -> Summary:
        fields = {"output": str(tmp_path / "out"), "handler": handler, "sample": 0} | changes
        return run_batch(BatchJob([str(each) for each in inputs], **fields), local_options(1), show_progress=False)

    return run


BOOKS = ("report.jsonl", "manifest.parquet", "contact_sheet.html", "summary.json")


def files(folder: Path) -> list[str]:
    """Name the photographs below an output, and whatever else should not be there."""
    found = (
        Path(parent, name).relative_to(folder) for parent, _, names in os.walk(folder) for name in names
    )  # os.walk bears it when a running job removes a folder
    return sorted(str(path) for path in found if path.parts[0] != ".tintype" and str(path) not in BOOKS)
