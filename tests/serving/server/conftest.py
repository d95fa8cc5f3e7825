"""SavedModels, a base path to publish them under, and stubs of a running server."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from serving.server import EmbeddedServer
from tests.tiny_models import write_tiny_model

NAME = "colorizer"


@dataclass
class Client:
    """TensorFlow Serving's own stubs on one port."""

    port: int

    def __post_init__(self):
        from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
        from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"localhost:{self.port}", options=options)
        self.prediction = PredictionServiceStub(self.channel)
        self.model = ModelServiceStub(self.channel)

    def request(self, *, name=NAME, version=None, signature=None, outputs=(), **inputs):
        """A PredictRequest; an input may be an array or a finished TensorProto."""
        import tensorflow as tf
        from tensorflow.core.framework.tensor_pb2 import TensorProto
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        request = PredictRequest(output_filter=outputs)
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
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
        server = EmbeddedServer(NAME, base_path, **{"file_system_poll_wait_seconds": 0.05, **kwargs})
        servers.append(server)
        return server.start()

    yield serve
    for server in servers:
        server.stop()
