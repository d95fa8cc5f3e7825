"""TensorFlow Serving's REST API, asked over HTTP.

The same tests ask a real tensorflow_model_server where TENSORFLOW_MODEL_SERVER names its binary.
"""

import base64
import gzip
import json
import socket
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from benchmarks.free_port import free_port
from tests.serving.server.conftest import model_config, model_configs, model_server
from tests.serving.server.example_models import write_example_model, write_half_plus_two, write_typed_model


@pytest.fixture(scope="module")
def rest(tiny_models, tmp_path_factory) -> Iterator[httpx.Client]:
    """A client of a server with the models `colorizer`, `examples`, `typed`, `half_plus_two`, version 3, `stable`."""
    folder = tmp_path_factory.mktemp("rest")
    (folder / "colorizer").mkdir()
    (folder / "colorizer" / "3").symlink_to(tiny_models["one"])
    write_example_model(folder / "examples" / "3")
    write_typed_model(folder / "typed" / "3")
    write_half_plus_two(folder / "half_plus_two" / "3")
    label = 'version_labels { key: "stable" value: 3 }'
    models = (model_config(name, folder / name, label) for name in ("colorizer", "examples", "typed", "half_plus_two"))
    (folder / "models.config").write_text(model_configs(*models))
    (folder / "monitoring.config").write_text("prometheus_config { enable: true }")
    port = free_port()
    with (
        model_server(
            rest_api_port=port,
            model_config_file=folder / "models.config",
            monitoring_config_file=folder / "monitoring.config",
            allow_version_labels_for_unavailable_models=True,
        ),
        # The real server opens its port for REST a moment after that for gRPC.
        httpx.Client(
            base_url=f"http://localhost:{port}", timeout=30, transport=httpx.HTTPTransport(retries=6)
        ) as client,
    ):
        yield client


def post(rest, what, body, **kwargs):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rest.post(f"/v1/models/{what}", content=content, **kwargs)


def good(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def refused(response, status, *words):
    assert response.status_code == status, response.text
    for word in words:
        assert word in response.json()["error"]


@pytest.mark.parametrize("where", ["", "/versions/3", "/labels/stable", "/versions/00003"])
def test_the_status_of_a_model_is_that_of_its_versions(rest, where):
    assert good(rest.get(f"/v1/models/typed{where}")) == {
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


@pytest.mark.parametrize("where", ["", "/versions/3", "/labels/stable"])
def test_the_metadata_of_a_model_are_its_signatures(rest, where):
    metadata = good(rest.get(f"/v1/models/typed{where}/metadata"))
    assert metadata["model_spec"] == {"name": "typed", "signature_name": "", "version": "3"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "log", "scalar", "echo", "several"} <= set(signatures)
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}, {"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("nobody", 404, "Could not find any versions of model nobody"),
        ("typed/versions/99", 404, "Could not find version 99 of model typed"),
        ("typed/labels/unknown", 400, "Unrecognized servable version label: unknown"),
        ("nobody/metadata", 404, "Servable not found for request: Latest(nobody)"),
        ("typed/versions/99/metadata", 404, "Servable not found for request: Specific(typed, 99)"),
    ],
)
def test_what_is_not_served_is_not_found(rest, address, status, words):
    refused(rest.get(f"/v1/models/{address}"), status, words)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nobody:predict", "Servable not found for request: Latest(nobody)"),
        ("nobody:classify", "Servable not found for request: Latest(nobody)"),
        ("nobody:regress", "Servable not found for request: Latest(nobody)"),
        ("typed/versions/99:predict", "Servable not found for request: Specific(typed, 99)"),
    ],
)
def test_nothing_can_be_asked_of_what_is_not_served(rest, address, words):
    refused(post(rest, address, {"instances": [[1]], "examples": [{"x": 1.5}]}), 404, words)


@pytest.mark.parametrize("where", ["typed", "typed/versions/3", "typed/labels/stable", "typ%65d"])
@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"instances": [[1, 2], [3.5, 4]]}, {"predictions": [[2.0, 4.0], [7.0, 8.0]]}),
        ({"instances": [{"x": [1, 2]}, {"x": [3.5, 4]}]}, {"predictions": [[2.0, 4.0], [7.0, 8.0]]}),
        ({"inputs": [[1, 2], [3.5, 4]]}, {"outputs": [[2.0, 4.0], [7.0, 8.0]]}),
        ({"inputs": {"x": [[1, 2]]}}, {"outputs": [[2.0, 4.0]]}),
        ({"signature_name": "scalar", "inputs": 1.5}, {"outputs": 2.5}),
        ({"signature_name": "scalar", "inputs": {"x": 1.5}}, {"outputs": 2.5}),
    ],
)
def test_predict_answers_in_the_form_it_is_asked(rest, where, body, answer):
    assert good(post(rest, f"{where}:predict", body)) == answer


def test_a_128_pixel_square_gets_the_models_colour(rest):
    lightness = np.linspace(0, 100, 128 * 128, dtype=np.float32).reshape(128, 128, 1)
    ab = np.array(good(post(rest, "colorizer:predict", {"instances": [lightness.tolist()]}))["predictions"], np.float32)
    np.testing.assert_allclose(ab, lightness[None] / 100 * np.array([20, -30], np.float32), rtol=1e-5)


def test_the_quick_start_answers_as_its_documentation_says(rest):
    answer = post(rest, "half_plus_two:predict", {"instances": [1.0, 2.0, 5.0]})
    assert good(answer) == {"predictions": [2.5, 3.0, 4.5]}


def test_a_browser_may_ask_before_it_asks(rest):
    answer = rest.options("/v1/models/typed:predict", headers={"Origin": "https://example.org"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert rest.options("/v1/models/typed:predict").status_code == 400


def test_a_target_may_name_the_server(rest):
    with socket.create_connection((rest.base_url.host, rest.base_url.port), timeout=20) as connection:
        target = f"http://{rest.base_url.host}:{rest.base_url.port}/v1/models/typed"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"AVAILABLE"' in answer


def test_several_outputs_come_by_their_names_and_integers_exactly(rest):
    inputs = {"i": [2**53, -2], "b": [True, False], "d": [1.0, 3.0]}
    rows = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
    answer = good(post(rest, "typed:predict", {"signature_name": "several", "instances": rows}))
    assert answer == {"predictions": [{"i": 2**53 + 1, "b": False, "d": 1 / 3}, {"i": -1, "b": True, "d": 1.0}]}
    answer = good(post(rest, "typed:predict", {"signature_name": "several", "inputs": inputs}))
    assert answer == {"outputs": {"i": [2**53 + 1, -1], "b": [False, True], "d": [1 / 3, 1.0]}}


def test_numbers_that_json_does_not_know_are_written_by_their_names(rest):
    response = post(rest, "typed:predict", b'{"signature_name": "log", "instances": [0, -1, 1, NaN, Infinity]}')
    assert response.status_code == 200
    assert "Infinity" in response.text
    numbers = json.loads(response.text)["predictions"]
    np.testing.assert_array_equal(numbers, [-np.inf, np.nan, 0.0, np.nan, np.inf])


def test_text_comes_as_text_and_bytes_as_base64(rest):
    raw = base64.b64encode(b"\x00\xffhello").decode()
    body = {"signature_name": "echo", "inputs": {"text": ["höhe", {"b64": base64.b64encode(b"plain").decode()}]}}
    hohe = base64.b64encode("höhe".encode()).decode()
    assert good(post(rest, "typed:predict", body)) == {
        "outputs": {
            "text": ["höhe", "plain"],
            "text_bytes": [{"b64": hohe}, {"b64": base64.b64encode(b"plain").decode()}],
        }
    }
    body = {"signature_name": "echo", "instances": [{"b64": raw}]}
    response = post(rest, "typed:predict", body)
    assert response.status_code == 200
    (row,) = json.loads(response.content.decode(errors="surrogateescape"))["predictions"]
    assert row == {"text": "\x00\udcffhello", "text_bytes": {"b64": raw}}


def test_a_gzipped_body_is_read(rest):
    body = gzip.compress(b'{"instances": [[1, 2]]}')
    response = post(rest, "typed:predict", body, headers={"Content-Encoding": "gzip"})
    assert good(response) == {"predictions": [[2.0, 4.0]]}
    members = gzip.compress(b'{"instances": ') + gzip.compress(b"[[1, 2]]}")
    response = post(rest, "typed:predict", members, headers={"Content-Encoding": "gzip"})
    assert good(response) == {"predictions": [[2.0, 4.0]]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b"nonsense", "JSON Parse error: "),
        (b'{"instances": [[1, 2]', "JSON Parse error: "),
        (b"[1, 2]", "Is not object"),
        ({"instances": [[1, 2], [3]]}, "Expecting tensor size: 2 but got: 1"),
        ({"instances": [[[1, 2], [3]]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ({"instances": [["a"]]}, "is not of expected type: float"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [{"y": [1]}]}, "JSON object: does not have named input: y"),
        ({"inputs": {"y": [[1]]}}, "Missing named input: x in 'inputs' object."),
        ({"instances": [[1]], "inputs": [[1]]}, "'instances' keys to exist"),
        ({"rows": [[1]]}, "Missing 'inputs' or 'instances' key"),
        ({"signature_name": 5, "instances": [[1]]}, "'signature_name' key must be a string value."),
        ({"signature_name": "no", "instances": [[1]]}, 'Serving signature name: "no" not found in signature def'),
        ({"signature_name": "several", "instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"signature_name": "echo", "instances": [{"b64": "!"}]}, "Unable to base64 decode"),
        ({"signature_name": "ragged", "instances": [1, 2]}, "has inconsistent batch size"),
    ],
)
def test_a_body_that_cannot_be_answered_is_refused(rest, body, words):
    refused(post(rest, "typed:predict", body), 400, words)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/v1/models/typed"),
        ("POST", "/v1/models/typed:explain"),
        ("POST", "/v1/models/typed/labels/:predict"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/typed/versions/three:predict"),
        ("GET", "/v1/models/typed:predict"),
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/models/typed"),
        ("DELETE", "/v1/models/typed:predict"),
    ],
)
def test_an_address_that_is_none_is_malformed(rest, method, address):
    refused(rest.request(method, address), 400, f"Malformed request: {method} {address}")


def test_a_version_beyond_64_bits_is_no_version(rest):
    assert rest.get(f"/v1/models/typed/versions/{2**63}").status_code == 400


def test_a_model_must_be_named(rest):
    refused(rest.get("/v1/models"), 400, "Missing model name in request.")


@pytest.mark.parametrize("address", ["/", "/v2/models/typed", "/monitoring"])
def test_outside_of_the_api_nothing_is_found(rest, address):
    assert rest.get(address).status_code == 404


def test_classify_labels_every_example(rest):
    body = {"context": {"bias": 0.75}, "examples": [{"x": 0.25}, {"x": [0.5], "bias": 0.0}]}
    assert good(post(rest, "examples:classify", body)) == {
        "results": [[["low", 0.25], ["high", 0.75]], [["low", 0.5], ["high", 0.0]]]
    }


def test_regress_gives_every_example_a_number(rest):
    body = {"signature_name": "regress", "examples": [{"x": 1.0}, {"x": [0.2], "bias": 1.0}]}
    answer = good(post(rest, "examples:regress", body))
    np.testing.assert_array_equal(np.float32(answer["results"]), np.float32([2.5, 3.1]))


def test_predict_takes_serialized_examples(rest):
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    example.features.feature["x"].float_list.value.append(1.0)
    body = {"signature_name": "regress", "instances": [{"b64": base64.b64encode(example.SerializeToString()).decode()}]}
    assert good(post(rest, "examples:predict", body)) == {"predictions": [[2.5]]}


@pytest.mark.parametrize(
    ("address", "body", "words"),
    [
        ("examples:classify", {"instances": [1]}, "key 'examples' is expected and was not found"),
        ("examples:classify", {"examples": []}, "'examples' value is an empty array"),
        ("examples:classify", {"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ("examples:classify", {"examples": [{"x": [None]}]}, "Feature: x has element with unexpected JSON type: Null"),
        ("examples:classify", {"signature_name": "no", "examples": [{"x": 1.5}]}, "No signature was found"),
        ("examples:regress", {"examples": [{"x": 1.5}]}, "Expected one output Tensor."),
        ("typed:classify", {"examples": [{"x": 1.5}]}, "No classification inputs found in SignatureDef"),
    ],
)
def test_examples_that_cannot_be_answered_are_refused(rest, address, body, words):
    refused(post(rest, address, body), 400, words)


def test_the_metrics_count_the_requests(rest):
    def count(status):
        page = rest.get("/monitoring/prometheus/metrics")
        assert page.headers["content-type"].startswith("text/plain")
        series = f':tensorflow:serving:request_count{{model_name="typed",status="{status}"}} '
        return sum(int(line.removeprefix(series)) for line in page.text.splitlines() if line.startswith(series))

    before = count("OK"), count("INVALID_ARGUMENT")
    good(post(rest, "typed:predict", {"instances": [[1]]}))
    refused(post(rest, "typed:predict", {}), 400)
    assert (count("OK"), count("INVALID_ARGUMENT")) == (before[0] + 1, before[1] + 1)
    latency = ':tensorflow:serving:request_latency_count{model_name="typed",API="predict",entrypoint="REST"}'
    assert latency in rest.get("/monitoring/prometheus/metrics").text
