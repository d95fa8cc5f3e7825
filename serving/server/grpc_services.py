"""The gRPC face of the core: TensorFlow Serving's services, who may run when, and the health protocol."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse

from serving.server.errors import RequestError
from serving.server.model_server import ServerCore

log = logging.getLogger(__name__)

# The words travel in an HTTP/2 header, whose size gRPC bounds; TensorFlow Serving cuts at the same length.
_MAX_MESSAGE_LENGTH = 1024
_HEALTH_OF = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_CONTROL_THREADS = 4


class Turns:
    """Lets so many requests run at once, lets so many more wait for their turn, and refuses the rest.

    Args:
        running: requests worked on at once.
        waiting: requests that may wait; those beyond are refused with RESOURCE_EXHAUSTED.
    """

    def __init__(self, running: int, waiting: int):
        self.limit = running + waiting
        self._slots = threading.Semaphore(running)
        self._lock = threading.Lock()
        self._present = 0

    @contextmanager
    def turn(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Wait for a turn, as long as the request's client waits for the answer.

        Raises:
            RequestError: RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED or CANCELLED: the request must not be worked on.
        """
        with self._lock:
            if self._present >= self.limit:
                raise RequestError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, f"the server is busy: {self.limit} requests run or wait"
                )
            self._present += 1
        try:
            if not self._slots.acquire(timeout=_time_left(context)):
                raise RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before it was its turn")
            try:
                if not context.is_active():
                    # Its client gave up while it waited: the model's time belongs to those who still wait.
                    raise RequestError(grpc.StatusCode.CANCELLED, "the client is gone")
                yield
            finally:
                self._slots.release()
        finally:
            with self._lock:
                self._present -= 1


def add_services(server: grpc.Server, core: ServerCore, turns: Turns) -> "Health":
    """Let `server` answer for PredictionService, ModelService and the health protocol.

    Only the calls that run a model take turns. Questions about models, their status and the server's health are
    answered by threads of their own, so that they are answered under any load; configs are taken one after another.

    Returns:
        The health, NOT_SERVING until it is told otherwise.
    """
    control = ThreadPoolExecutor(_CONTROL_THREADS, thread_name_prefix="grpc-control")
    reload = ThreadPoolExecutor(1, thread_name_prefix="grpc-reload")
    prediction = prediction_service_pb2_grpc.PredictionServiceServicer()
    for method, work in (
        ("Predict", core.predict),
        ("Classify", core.classify),
        ("Regress", core.regress),
        ("MultiInference", core.multi_inference),
    ):
        setattr(prediction, method, _inference(core, method, work, turns))
    prediction.GetModelMetadata = _question(core.get_model_metadata, control)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)

    model = model_service_pb2_grpc.ModelServiceServicer()
    model.GetModelStatus = _question(core.get_model_status, control)
    model.HandleReloadConfigRequest = _reload(core, reload)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, server)

    health = Health(control)
    add_HealthServicer_to_server(health, server)
    return health


class Health(HealthServicer):
    """grpc.health.v1 of the whole server and of both services, which are always the same."""

    def __init__(self, threads: ThreadPoolExecutor):
        super().__init__()
        check = super().Check

        def answer(request: Message, context: grpc.ServicerContext) -> Message:
            return check(request, context)

        answer.experimental_thread_pool = threads
        self.Check = answer
        self.tell(False)

    def tell(self, serving: bool) -> None:
        """Say whether requests are served; watchers hear of changes only."""
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        with self._lock:
            for service in _HEALTH_OF:
                if self._server_status.get(service) != status:
                    self.set(service, status)

    def shut_down(self) -> None:
        """Say for good that nothing is served, and end the calls of watchers: a server waits for open calls."""
        self.enter_graceful_shutdown()
        with self._lock:
            for end in [respond for responds in self._send_response_callbacks.values() for respond in responds]:
                end(None)


def _inference(core: ServerCore, method: str, work: Callable[[Any], Message], turns: Turns) -> Callable:
    def answer(request: Message, context: grpc.ServicerContext) -> Message:
        started = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            with turns.turn(context):
                return work(request)
        except Exception as error:
            code, message = _status(error)
        finally:
            core.metrics.observe_request(_model_name(request), method, "GRPC", code.name, time.perf_counter() - started)
        raise context.abort(code, message)  # abort() itself raises

    return answer


def _question(work: Callable[[Any], Message], threads: ThreadPoolExecutor) -> Callable:
    def answer(request: Message, context: grpc.ServicerContext) -> Message:
        try:
            return work(request)
        except Exception as error:
            code, message = _status(error)
        raise context.abort(code, message)

    answer.experimental_thread_pool = threads
    return answer


def _reload(core: ServerCore, threads: ThreadPoolExecutor) -> Callable:
    def work(request: ReloadConfigRequest, context: grpc.ServicerContext) -> ReloadConfigResponse:
        try:
            core.reload_config(request.config, timeout=_time_left(context))
        except Exception as error:
            code, message = _status(error)
            log.error("the config was not taken: %s", message)
            raise context.abort(code, message) from error
        return ReloadConfigResponse(status={})

    work.experimental_thread_pool = threads
    return work


def _model_name(request: Message) -> str:
    if isinstance(request, MultiInferenceRequest):
        return request.tasks[0].model_spec.name if request.tasks else ""
    return request.model_spec.name


def _time_left(context: grpc.ServicerContext) -> float | None:
    left = context.time_remaining()
    # Without a deadline gRPC gives centuries, more than a lock can wait.
    return None if left is None or left > threading.TIMEOUT_MAX else max(0.0, left)


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, RequestError):
        return error.code, error.message[:_MAX_MESSAGE_LENGTH]
    log.error("a request failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"[:_MAX_MESSAGE_LENGTH]
