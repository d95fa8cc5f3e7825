"""Every program of examples/ does what it says, against a real server and a real model."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photo.color import rgb_to_lab

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from serving.model.shipped_generator import shipped_generator, unpack

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield unpack(shipped_generator())


@pytest.fixture(scope="module")
def server(model):
    from serving.server import EmbeddedServer, ServerOptions

    with EmbeddedServer(ServerOptions("colorizer", model, port=0, rest_api_port=0)) as server:
        server.wait_until_available(timeout=120)
        yield server


@pytest.fixture
def album(tmp_path, astronaut):
    folder = tmp_path / "album"
    folder.mkdir()
    Image.fromarray(astronaut).convert("L").save(folder / "a.jpg")
    Image.fromarray(astronaut[:90]).convert("L").save(folder / "b.png")
    return folder


@pytest.fixture
def run(monkeypatch):
    """Run an example as `python examples/NAME.py ARGUMENTS` would; return its exit code."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as end:
            return end.code or 0
        return 0

    return run


def assert_coloured(path, gray):
    """The photograph at `path` is as large as the gray one, as light, and in colour."""
    lab = rgb_to_lab(np.asarray(Image.open(path).convert("RGB")))
    lightness = rgb_to_lab(np.asarray(Image.open(gray).convert("RGB")))[..., 0]
    assert lab.shape[:2] == lightness.shape
    assert np.abs(lab[..., 0] - lightness).mean() < 3
    assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 2


def test_client(run, server, album, tmp_path, capsys):
    (album / "broken.jpg").write_bytes(b"no photograph")
    out = tmp_path / "out"
    assert run("client.py", album, "-o", out, "--server", f"localhost:{server.port}") == 1
    assert "broken.jpg" in capsys.readouterr().out
    for name in ("a.jpg", "b.png"):
        assert_coloured(out / name, album / name)


def test_async_client(run, server, album, tmp_path):
    out = tmp_path / "out"
    assert run("async_client.py", album, "-o", out, "--server", f"localhost:{server.port}") == 0
    assert_coloured(out / "a.png", album / "a.jpg")
    assert_coloured(out / "b.png", album / "b.png")


def test_rest_api(run, server, album, tmp_path, capsys):
    coloured, at = tmp_path / "coloured.jpg", f"http://localhost:{server.rest_api_port}"
    assert run("rest_api.py", album / "a.jpg", coloured, "--server", at) == 0
    assert_coloured(coloured, album / "a.jpg")
    assert run("rest_api.py", album / "a.jpg", coloured, "--server", at, "--model", "nobody") == 1
    assert "nobody" in capsys.readouterr().err


def test_own_beam_pipeline(run, model, album, tmp_path, capsys):
    (album / "empty.jpg").write_bytes(b"")
    out = tmp_path / "out"
    assert run("own_beam_pipeline.py", album, "-o", out, "--model", model) == 0
    printed = capsys.readouterr().out
    assert f"(('{album}', 'done'), 2)" in printed
    assert f"(('{album}', 'empty'), 1)" in printed
    assert_coloured(out / "a.jpg", album / "a.jpg")


def test_fine_tuning(run, tmp_path, capsys):
    from tintype.demo.scenes import write_collection

    write_collection(tmp_path / "photographs", 40, side=64)
    size = ("--steps", 4, "--size", 32, "--batch-size", 4)
    assert run("fine_tuning.py", tmp_path / "photographs", "--out", tmp_path / "out", *size) == 0
    assert "4 steps" in capsys.readouterr().out
    assert (tmp_path / "out" / "model" / "saved_model.pb").is_file()
    (tmp_path / "none").mkdir()
    assert run("fine_tuning.py", tmp_path / "none", "--out", tmp_path / "out2", *size) == 1
