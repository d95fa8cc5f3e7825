"""SavedModels, a base path to publish them under, servers, and TensorFlow Serving's stubs to ask them.

TENSORFLOW_MODEL_SERVER in the environment names a real tensorflow_model_server for the contract tests: the path of its
binary, or the HOST:PORT of one that runs, which is asked only what needs no models of the tests' own.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from benchmarks.free_port import free_port
from serving.server import EmbeddedServer, ServerOptions
from serving.server.version_status import ServableState
from tests.tiny_models import write_tiny_model

NAME = "colorizer"


@dataclass
class Client:
    """TensorFlow Serving's own stubs on one port of this machine, or at an address."""

    port: int | str
    credentials: grpc.ChannelCredentials | None = None

    def __post_init__(self):
        from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
        from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        address = f"localhost:{self.port}" if isinstance(self.port, int) else self.port
        if self.credentials is None:
            self.channel = grpc.insecure_channel(address, options=options)
        else:
            self.channel = grpc.secure_channel(address, self.credentials, options=options)
        self.prediction = PredictionServiceStub(self.channel)
        self.model = ModelServiceStub(self.channel)

    def request(self, *, name=NAME, version=None, label=None, signature=None, outputs=(), **inputs):
        """A PredictRequest; an input may be an array or a finished TensorProto."""
        import tensorflow as tf
        from tensorflow.core.framework.tensor_pb2 import TensorProto
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        request = PredictRequest(output_filter=outputs)
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        if label is not None:
            request.model_spec.version_label = label
        if signature is not None:
            request.model_spec.signature_name = signature
        for key, value in inputs.items():
            proto = value if isinstance(value, TensorProto) else tf.make_tensor_proto(value)
            request.inputs[key].CopyFrom(proto)
        return request

    def predict(self, **kwargs):
        return self.prediction.Predict(self.request(**kwargs), timeout=20)

    def ab(self, lightness=50.0, **kwargs) -> list[float]:
        """The colour the server gives one pixel of that lightness."""
        import tensorflow as tf

        answer = self.predict(L=np.full((1, 1, 1, 1), lightness, np.float32), **kwargs)
        return tf.make_ndarray(answer.outputs["ab"]).ravel().tolist()

    def status(self, name=NAME, version=None):
        from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

        request = GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        return self.model.GetModelStatus(request, timeout=20).model_version_status

    def states(self, name=NAME) -> dict[int, str]:
        """The state of every version by its number, empty for a model never seen."""
        from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

        try:
            statuses = self.status(name)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return {}
        return {status.version: ModelVersionStatus.State.Name(status.state) for status in statuses}

    def reload(self, config: str, timeout=30):
        """Give the server a ModelServerConfig, written in text format."""
        from google.protobuf import text_format
        from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
        from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

        request = ReloadConfigRequest(config=text_format.Parse(config, ModelServerConfig()))
        return self.model.HandleReloadConfigRequest(request, timeout=timeout)


def model_config(name: str, base_path: Path, more: str = "") -> str:
    """One entry of a model_config_list, in text format."""
    return f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" {more} }}'


def model_configs(*entries: str) -> str:
    return f"model_config_list {{ {' '.join(entries)} }}"


def real_server() -> str | None:
    """The real server to ask in place of the embedded one, if there is one."""
    return os.environ.get("TENSORFLOW_MODEL_SERVER") or None


def is_address(server: str) -> bool:
    return os.path.sep not in server and ":" in server


def _is_settled(statuses) -> bool:
    return all(status.state in (ServableState.AVAILABLE, ServableState.END) for status in statuses)


@contextmanager
def model_server(**flags) -> Iterator[Client]:
    """A client of a server with models of the test's own: the embedded one, or the real one by its binary.

    The flags are those of tensorflow_model_server; every model is available when it is entered.
    """
    server = real_server()
    if server is None:
        with EmbeddedServer(ServerOptions(**flags)) as embedded:
            embedded.wait_until_available(60)
            models = embedded.models  # as the real server: every version, not one of each model
            assert all(models.wait_for(name, _is_settled, 60) for name in models.model_names())
            yield Client(embedded.port)
        return
    if is_address(server):
        pytest.skip(f"the server at {server} cannot be given models: name a binary in TENSORFLOW_MODEL_SERVER")
    port = free_port()
    text = {name: str(value).lower() if isinstance(value, bool) else value for name, value in flags.items()}
    process = subprocess.Popen([server, f"--port={port}", *(f"--{name}={value}" for name, value in text.items())])
    try:
        client = Client(port)
        # The real server opens its port when the models are loaded.
        grpc.channel_ready_future(client.channel).result(60)
        yield client
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def any_server(tiny_models, tmp_path_factory) -> Iterator[Client]:
    """A client of a server whose models do not matter: also the real one that runs at an address."""
    server = real_server()
    if server is not None and is_address(server):
        yield Client(server)
        return
    base_path = tmp_path_factory.mktemp("any")
    (base_path / "1").symlink_to(tiny_models["one"])
    with model_server(model_name=NAME, model_base_path=base_path) as client:
        yield client


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> dict[str, Path]:
    """Models told apart by their colour at lightness 50: `one` gives (10, -15), `two` gives (1, 2)."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "one": write_tiny_model(folder / "one", ab=(20.0, -30.0)),
        "two": write_tiny_model(folder / "two", ab=(2.0, 4.0)),
    }


@pytest.fixture
def base_path(tmp_path) -> Path:
    path = tmp_path / "base"
    path.mkdir()
    return path


@pytest.fixture
def publish(base_path) -> Callable[[Path, str], Path]:
    """Put a model under the base path in one step, as a careful pusher does."""

    def publish(model: Path, version: str) -> Path:
        shutil.copytree(model, base_path / f"incoming-{version}")
        os.rename(base_path / f"incoming-{version}", base_path / version)
        return base_path / version

    return publish


@pytest.fixture
def serve(base_path) -> Iterator[Callable[..., EmbeddedServer]]:
    """Start servers that are stopped when the test ends."""
    servers = []

    def serve(**kwargs) -> EmbeddedServer:
        server = EmbeddedServer(ServerOptions(NAME, base_path, **{"file_system_poll_wait_seconds": 0.05, **kwargs}))
        servers.append(server)
        return server.start()

    yield serve
    for server in servers:
        server.stop()
