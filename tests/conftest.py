"""Photographs that every test may use."""

import io
import os
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.external_tools import pytest_runtest_setup, pytest_terminal_summary  # noqa: F401 - hooks

# No test leaves a server of `tintype colorize` behind; those of such servers ask for them.
os.environ["TINTYPE_KEEP_MINUTES"] = "0"


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
