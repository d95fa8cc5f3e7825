"""The colorizer's own signatures over REST and gRPC: `guided`, and `colorize_bytes` under its new and its old name."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from benchmarks.free_port import free_port
from photo.coloring_options import ColoringOptions
from serving.client import Colorizer, Hint
from serving.client.options import ConnectionOptions
from serving.server import EmbeddedServer, ServerOptions
from tests.serving.server.conftest import model_config, model_configs
from tests.tiny_models import write_tiny_model

GRAY = np.full((50, 100, 3), 128, np.uint8)


def write_bytes_model(folder, output):
    """A model whose `colorize_bytes` gives photographs back as JPEG, under the name `output`."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "bytes")])
    def colorize_bytes(bytes):
        def one(encoded):
            return tf.io.encode_jpeg(tf.io.decode_image(encoded, channels=3, expand_animations=False))

        return {output: tf.map_fn(one, bytes, fn_output_signature=tf.string)}

    tf.saved_model.save(tf.Module(), str(folder), signatures={"colorize_bytes": colorize_bytes})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    write_tiny_model(folder / "colorizer" / "1", guided=True, variants=True, stride=8)
    write_bytes_model(folder / "new" / "1", "image_bytes")
    write_bytes_model(folder / "old" / "1", "bytes")
    models = [model_config(name, folder / name) for name in ("colorizer", "new", "old")]
    (folder / "models.config").write_text(model_configs(*models))
    options = ServerOptions(
        model_config_file=folder / "models.config", enable_batching=True, rest_api_port=free_port(), port=0
    )
    with EmbeddedServer(options) as server:
        server.wait_until_available(60)
        yield server, options.rest_api_port


def predict(server, model, **body):
    return httpx.post(f"http://localhost:{server[1]}/v1/models/{model}:predict", json=body, timeout=60)


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (24, 16), (shade,) * 3).save(file, "JPEG")
    return file.getvalue()


def as_json(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def shade_of(encoded: dict[str, str]) -> int:
    return Image.open(io.BytesIO(base64.b64decode(encoded["b64"]))).getpixel((4, 4))[0]


@pytest.mark.parametrize("model", ["new", "old"])
def test_photographs_come_back_in_base64_whatever_the_exported_name(server, model):
    rows = predict(server, model, signature_name="colorize_bytes", instances=[as_json(jpeg(40)), as_json(jpeg(200))])
    assert rows.status_code == 200, rows.text
    assert [shade_of(row) for row in rows.json()["predictions"]] == [40, 200]
    columns = predict(server, model, signature_name="colorize_bytes", inputs=[as_json(jpeg(90))])
    assert [shade_of(row) for row in columns.json()["outputs"]] == [90]


@pytest.mark.parametrize(
    ("bad", "why"), [(b"no photograph", "Unknown image file format"), (jpeg(1)[:200], "Invalid JPEG"), (b"", "empty")]
)
def test_an_element_that_is_no_photograph_names_itself(server, bad, why):
    answer = predict(server, "new", signature_name="colorize_bytes", instances=[as_json(jpeg(40)), as_json(bad)])
    assert answer.status_code == 400
    words = answer.json()["error"]
    assert words.startswith("bytes[1]: ")
    assert why in words
    for noise in ("stack traces", "node", "Graph execution", "function_node"):
        assert noise not in words


def test_a_bad_photograph_of_one_request_does_not_spoil_another_of_the_same_batch(server):
    def ask(data):
        return predict(server, "new", signature_name="colorize_bytes", instances=[as_json(data)])

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, [jpeg(40), b"no photograph"] * 8))
    assert [answer.status_code for answer in answers] == [200, 400] * 8


def test_guided_takes_hints_as_json_in_rows_and_in_columns(server):
    lightness = np.full((16, 16, 1), 50.0)
    hints = np.zeros((16, 16, 3))
    hints[4, 4] = 30, 40, 1
    row = {"L": lightness.tolist(), "hints": hints.tolist()}
    [found] = predict(server, "colorizer", signature_name="guided", instances=[row]).json()["predictions"]
    ab = np.array(found["ab"])
    np.testing.assert_allclose(ab[5, 4], [30, 40])
    np.testing.assert_allclose(ab[15, 15], [10, -15])
    assert np.shape(found["likely_colors"]) == (4, 4, 8, 2)
    assert np.shape(found["uncertainty"]) == (16, 16, 1)
    columns = predict(server, "colorizer", signature_name="guided", inputs={key: [value] for key, value in row.items()})
    np.testing.assert_allclose(np.array(columns.json()["outputs"]["ab"])[0], ab)


def test_guided_without_hints_is_the_usual_colouring(server):
    row = {"L": np.full((8, 8, 1), 50.0).tolist(), "hints": np.zeros((8, 8, 3)).tolist()}
    [guided] = predict(server, "colorizer", signature_name="guided", instances=[row]).json()["predictions"]
    [usual] = predict(server, "colorizer", instances=[{"L": row["L"]}]).json()["predictions"]
    np.testing.assert_allclose(guided["ab"], usual)


def test_the_client_asks_a_real_server_for_all_of_it(server):
    with Colorizer(f"localhost:{server[0].port}", ConnectionOptions(timeout=60)) as colorizer:
        [ab] = colorizer.find_ab(GRAY, hints=[Hint(0.25, 0.5, "#9a6b3c")])
        assert ab[16, 8, 1] > 30  # brown
        assert ab[16, 31, 1] < -10  # the model's own blue
        [finer] = colorizer.find_ab(GRAY, hints=[Hint(0.25, 0.5, "#9a6b3c")], render=(64, 32))
        assert finer.shape == (64, 64, 2)
        assert finer[32, 16, 1] > 30
        likely = colorizer.likely_colors(GRAY, 0.25, 0.5)
        assert [share for _, share in likely] == [0.5 ** (power + 1) for power in range(8)]
        assert colorizer.uncertainty(GRAY).shape == (50, 100)
        assert len(colorizer.variants(GRAY, 3, ColoringOptions(render=(48,)))) == 3


def test_requests_of_one_shape_with_and_without_hints_run_side_by_side(server):
    with (
        Colorizer(f"localhost:{server[0].port}", ConnectionOptions(timeout=60)) as colorizer,
        ThreadPoolExecutor(8) as threads,
    ):
        hints = [[], [Hint(0.25, 0.5, "#9a6b3c")], [Hint(0.25, 0.5, "#3c6b9a")]]
        found = list(threads.map(lambda each: colorizer.find_ab(GRAY, hints=each)[0, 16, 8], hints * 5))
    for number, ab in enumerate(found):
        np.testing.assert_allclose(ab, found[number % 3], atol=1e-4)
    assert len({tuple(ab.round(1)) for ab in found}) == 3
