"""A small packed generator, and a cache of a test's own."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def packed(tmp_path_factory) -> Path:
    """A packed tiny model whose colour is (20, -30) times L / 100."""
    from serving.model.packing import pack
    from tests.tiny_models import write_tiny_model

    folder = tmp_path_factory.mktemp("generator")
    pack(write_tiny_model(folder / "model"), folder / "colorizer.zip")
    return folder / "colorizer.zip"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The folder that keeps unpacked generators; it is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tintype"
