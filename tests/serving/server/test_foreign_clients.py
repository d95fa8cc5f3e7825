"""Clients that others wrote, and the calls of TensorFlow Serving's documentation of REST, word for word."""

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from benchmarks.free_port import free_port
from tests.serving.server.conftest import Client, model_server
from tests.serving.server.example_models import write_half_plus_two

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[Client, int]]:
    """A client of a server of the quick start's model `half_plus_two`, version 123, and its port for REST."""
    base_path = tmp_path_factory.mktemp("quick_start")
    write_half_plus_two(base_path / "00000123")
    port = free_port()
    with model_server(model_name="half_plus_two", model_base_path=base_path, rest_api_port=port) as client:
        yield client, port


def curl(port, arguments):
    """Run the words of the documentation against this server's port."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    command = f"curl --retry 5 --retry-connrefused -s {arguments.replace(':8501', f':{port}')}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_the_quick_starts_predict(server):
    _, port = server
    words = """-d '{"instances": [1.0, 2.0, 5.0]}' -X POST http://localhost:8501/v1/models/half_plus_two:predict"""
    assert curl(port, words) == {"predictions": [2.5, 3.0, 4.5]}


def test_the_quick_starts_regress_on_a_version(server):
    _, port = server
    words = """-d '{"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}' \\
        -X POST http://localhost:8501/v1/models/half_plus_two/versions/123:regress"""
    assert curl(port, words) == {"results": [2.5, 3.0]}


def test_the_quick_starts_status_and_error(server):
    _, port = server
    status = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert curl(port, "http://localhost:8501/v1/models/half_plus_two") == {"model_version_status": [status]}
    words = """-d '{"instances": [1.0, 5.0]' -X POST http://localhost:8501/v1/models/half_plus_two:predict"""
    assert curl(port, words)["error"].startswith("JSON Parse error: ")


def test_the_client_of_tfxs_infra_validator(server):
    pytest.importorskip("tfx", reason="TFX runs on Python 3.11 alone")
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tfx.components.infra_validator.model_server_clients.tensorflow_serving_client import TensorFlowServingClient

    client, _ = server
    foreign = TensorFlowServingClient(f"localhost:{client.port}", "half_plus_two")
    foreign.WaitUntilModelLoaded(deadline=float("inf"), polling_interval_sec=1)
    request = PredictRequest()
    request.model_spec.name = "half_plus_two"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(2.0)
    request.inputs["x"].tensor_shape.dim.add().size = 1
    foreign.SendRequests([request])
