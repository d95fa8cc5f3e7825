"""Photographs that every test may use."""

import contextlib
import io
import os
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from serving.model.quiet_tensorflow import keras_without_extras
from tests import beam_signatures
from tests.external_tools import pytest_runtest_setup, pytest_terminal_summary  # noqa: F401 - hooks

# Folders of tests that take a minute each.
WHOLE_RUNS = {"e2e", "examples", "trainer", "batch"}

# No test leaves a server of `tintype colorize` behind; those of such servers ask for them.
os.environ["TINTYPE_KEEP_MINUTES"] = "0"


def pytest_configure(config: pytest.Config) -> None:
    """Let `--dist loadfile` take the files in the order of their collection, and import what every worker needs."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    if "PYTEST_XDIST_WORKER" in os.environ:  # collects every file, of which many import it
        with contextlib.suppress(ModuleNotFoundError), keras_without_extras():
            import tensorflow  # noqa: F401


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, whole runs before all: at the end no worker waits for another's long file."""
    has_slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in has_slow, item.path.parent.name not in WHOLE_RUNS))


def pytest_collection_finish() -> None:
    beam_signatures.look_once()  # what uses Beam in this process is imported now


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    from skimage import data

    return data.astronaut()[:200, 60:340].copy()


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode a Pillow image or an array of uint8 with Pillow."""

    def encode(image, format: str, **options) -> bytes:
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        file = io.BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    return encode
