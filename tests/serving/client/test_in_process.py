"""A model in the client's own process gives what the same model gives on a server."""

import asyncio
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from photo.errors import ClientClosed, ServerRefused, SignatureMissing
from photo.hints import Hint
from serving.client.async_colorizer import AsyncColorizer
from serving.client.colorizer import Colorizer
from serving.model.onnx_export import export_onnx
from serving.model.onnx_graphs import onnx_graphs
from serving.model.onnx_model import OnnxModel
from serving.model.packing import pack
from serving.server.embedded_server import EmbeddedServer
from serving.server.options import ServerOptions
from tests.tiny_models import write_tiny_model

HINTS = [Hint(0.2, 0.3, "#a04020")]
PHOTO = np.linspace(20, 230, 60 * 80).reshape(60, 80).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_process")
    saved = write_tiny_model(folder / "saved" / "1", guided=True, stride=4)
    export_onnx(str(saved), folder / "onnx")
    return folder


@pytest.fixture(scope="module")
def model(exported):
    return OnnxModel(exported / "onnx")


@pytest.fixture
def here(model):
    with Colorizer(model) as colorizer:
        yield colorizer


def test_colours_hints_and_what_is_said_of_colours_are_those_of_a_server(exported, here):
    with (
        EmbeddedServer(ServerOptions("colorizer", exported / "saved")) as server,
        Colorizer(f"localhost:{server.port}") as asked,
    ):
        assert here.describe() == asked.describe()
        for hints in ((), HINTS):
            found, expected = (each.find_ab(PHOTO, hints=hints) for each in (here, asked))
            np.testing.assert_allclose(found, expected, atol=0.05)
            found, expected = (each.uncertainty(PHOTO, hints=hints) for each in (here, asked))
            np.testing.assert_allclose(found, expected, atol=0.05)
            assert here.likely_colors(PHOTO, 0.5, 0.5, hints=hints) == asked.likely_colors(PHOTO, 0.5, 0.5, hints=hints)


def test_many_are_coloured_at_once_and_a_broken_one_is_its_own_outcome(here):
    results = list(here.colorize_many([PHOTO, b"no photograph", PHOTO]))
    assert [result.error is None for result in results] == [True, False, True]
    assert (results[0].colored == here.colorize(PHOTO)).all()


def test_asyncio_has_the_same_colours(model, here):
    async def color():
        async with AsyncColorizer(model) as colorizer:
            return [result.colored async for result in colorizer.colorize_many([PHOTO] * 3)]

    assert all((colored == here.colorize(PHOTO)).all() for colored in asyncio.run(color()))


def test_what_onnx_does_not_carry_is_said_with_what_does(here, model):
    with pytest.raises(SignatureMissing, match=r"in this process \(.*onnx\) gives one colouring .*--engine tensorflow"):
        here.variants(PHOTO, 2)
    with pytest.raises(ServerRefused, match=r"INTERNAL: the model in .* fails"):
        here.predict_ab(np.zeros((1, 10, 10, 1)), np.zeros((1, 5, 5, 3), np.float32))
    with pytest.raises(TypeError):
        here.colorize(7)


@pytest.mark.parametrize("kind", [Colorizer, AsyncColorizer])
def test_a_client_that_is_closed_ends_its_calls(model, monkeypatch, kind):
    asked, closed = threading.Event(), threading.Event()
    real = model.predict

    def slow(*arguments):
        asked.set()
        assert closed.wait(10)
        return real(*arguments)

    monkeypatch.setattr(model, "predict", slow)
    client = kind(model)

    def close_when_asked():
        asked.wait(10)
        client.close()
        closed.set()

    async def ask_and_close():
        call = asyncio.create_task(client.colorize(PHOTO))
        await asyncio.to_thread(asked.wait, 10)
        await client.close()
        closed.set()
        await call

    def ask():
        if kind is AsyncColorizer:
            asyncio.run(ask_and_close())
        else:
            threading.Thread(target=close_when_asked).start()
            client.colorize(PHOTO)

    with pytest.raises(ClientClosed):
        ask()


def test_the_command_colours_with_no_server_and_without_tensorflow(exported, tmp_path):
    saved = exported / "saved" / "1"
    pack(saved, tmp_path / "tiny.zip", onnx_graphs(str(saved)))
    Image.fromarray(PHOTO).save(tmp_path / "one.png")
    code = "import sys; sys.modules['tensorflow'] = None; from tintype.cli import main; main()"

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, "colorize", "one.png", *arguments],
            cwd=tmp_path,
            env=os.environ
            | {"TINTYPE_GENERATOR": str(tmp_path / "tiny.zip"), "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = run("-o", "out/")
    assert (done.returncode, done.stdout) == (0, "coloured 1 of 1 photograph into out/\n")
    assert done.stderr == "[1/1] one.png -> out/one.png\n"
    assert np.ptp(np.asarray(Image.open(tmp_path / "out/one.png")).astype(int), axis=2).max() > 20
    assert not (tmp_path / "cache").exists()  # nothing is unpacked, and onnxruntime keeps no identifier of the user
    done = run("-o", "several/", "--variants", "2")
    assert done.returncode == 1
    assert "gives one colouring only" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("-o", "out/", "--server", "localhost:1", "--engine", "onnx")
    assert done.returncode == 2
