"""A gRPC server that speaks the wire format without TensorFlow and misbehaves on demand."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.free_port import free_port
from serving.client import wire
from serving.model import signatures


@dataclass
class WireServer:
    """Answers every lightness with the colour `ab` times L / 100, and describes itself with `size`.

    Guided, the hinted pixels have the hint's colour. A cell of the likely colours at row r and column c has (2 r, 2 c)
    for its first colour and a share of 1/2, and less of each further one; the uncertainty is L.

    `failures` are given out first, one per request: a gRPC status code with words; `first_looks` likewise, one per
    question for the model's status, before `status`. Colours are held back until `released` is set.
    """

    ab: tuple[float, float] = (20.0, -30.0)
    size: int = 32
    version: int = 1
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    status: list[tuple[int, int]] = field(default_factory=list)
    first_looks: list[list[tuple[int, int]] | grpc.StatusCode] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    squares: list[tuple[int, ...]] = field(default_factory=list)
    spoil: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    has_variants: bool = False
    has_guided: bool = False
    stride: int = 1
    hints: list[NDArray[Any]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def __post_init__(self) -> None:
        self.released.set()
        self.lock = threading.Lock()

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if call.method == wire.PREDICT:
            return grpc.unary_unary_rpc_method_handler(
                self.predict, wire.PredictRequest.FromString, wire.PredictResponse.SerializeToString
            )
        if call.method == wire.GET_MODEL_STATUS:
            return grpc.unary_unary_rpc_method_handler(
                self.model_status, wire.GetModelStatusRequest.FromString, wire.GetModelStatusResponse.SerializeToString
            )
        return None

    def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request.model_spec.signature_name)
        self.labels.append(request.model_spec.version_label)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.failures:
            context.abort(*self.failures.pop(0))
        response = wire.PredictResponse()
        response.model_spec.version.value = self.version
        if request.model_spec.signature_name == signatures.DESCRIBE:
            answer: dict[str, Any] = {
                "recipe": [b"tiny"],
                "size": np.array([self.size], np.int32),
                "stride": np.array([self.stride], np.int32),
                "fingerprint": [b"tiny"],
            }
        else:
            lightness = wire.array_from_tensor(request.inputs[signatures.LIGHTNESS])
            self.squares.append(lightness.shape)
            self.hold()
            answer = {signatures.AB: lightness / 100 * np.array(self.ab, np.float32)}
            if request.model_spec.signature_name == signatures.VARIANTS:
                if not self.has_variants:
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "variants" not found.')
                seed = wire.array_from_tensor(request.inputs[signatures.SEED])
                answer[signatures.AB] *= np.cos(seed).astype(np.float32)[:, None, None, None]
            if request.model_spec.signature_name == signatures.GUIDED:
                if not self.has_guided:
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "guided" not found.')
                answer = self.guided(answer[signatures.AB], lightness, request)
            if self.spoil:
                answer[signatures.AB] = self.spoil(answer[signatures.AB])
        for name in request.output_filter or answer:
            array = answer[name]
            response.outputs[name].CopyFrom(wire.tensor_from_array(array))
        return response

    def guided(self, ab: NDArray[Any], lightness: NDArray[Any], request: Any) -> dict[str, Any]:
        hints = wire.array_from_tensor(request.inputs[signatures.HINTS])
        assert hints.shape == (*lightness.shape[:3], 3)
        assert hints.dtype == np.float32
        self.hints.append(hints)
        small = lightness.shape[1] // 4
        place = 2.0 * np.stack(np.meshgrid(*[np.arange(small)] * 2, indexing="ij"), -1)
        likely = place[None, :, :, None] / 2.0 ** np.arange(8)[:, None]
        shares = np.broadcast_to(0.5 ** np.arange(1, 9), (len(ab), small, small, 8))
        return {
            signatures.AB: np.where(hints[..., 2:] > 0, hints[..., :2], ab),
            signatures.LIKELY_COLORS: np.repeat(likely, len(ab), axis=0).astype(np.float32),
            signatures.LIKELY_SHARES: shares.astype(np.float32),
            signatures.UNCERTAINTY: lightness,
        }

    def hold(self) -> None:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.released.wait(60)
        with self.lock:
            self.at_once -= 1

    def wait_until_held(self, count: int) -> None:
        """Return when so many requests are held back at once."""
        deadline = time.monotonic() + 20
        while self.at_once < count:
            assert time.monotonic() < deadline, f"{self.at_once} requests are held, not {count}"
            time.sleep(0.01)

    def model_status(self, request: Any, context: grpc.ServicerContext) -> Any:
        status = self.first_looks.pop(0) if self.first_looks else self.status
        if isinstance(status, grpc.StatusCode):
            context.abort(status, "not now")
        if not status:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        response = wire.GetModelStatusResponse()
        for version, state in status:
            response.model_version_status.add(version=version, state=state)
        return response


class WireHandler(grpc.GenericRpcHandler):
    """The server as gRPC takes it."""

    def __init__(self, wire_server: WireServer):
        self.wire_server = wire_server

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Answer as the server does."""
        return self.wire_server.service(handler_call_details)


@contextmanager
def running(served: WireServer, credentials: grpc.ServerCredentials | None = None) -> Iterator[WireServer]:
    """Let it listen on a free port, which `address` tells."""
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers([WireHandler(served)])
    port = (
        server.add_insecure_port("localhost:0")
        if credentials is None
        else server.add_secure_port("localhost:0", credentials)
    )
    served.address = f"localhost:{port}"
    server.start()
    try:
        yield served
    finally:
        served.released.set()
        server.stop(None).wait()


@pytest.fixture
def wire_server() -> Iterator[WireServer]:
    with running(WireServer()) as served:
        yield served


@pytest.fixture(name="free_port")
def unused_port() -> int:
    return free_port()
