"""The gRPC face of the model server: TensorFlow Serving's services and the health protocol."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse

from serving.server.errors import RequestError
from serving.server.health import Health
from serving.server.model_server import ModelServer
from serving.server.request_scheduling import RequestTurns, time_left

log = logging.getLogger(__name__)

# The words travel in an HTTP/2 header, whose size gRPC bounds; TensorFlow Serving cuts at the same length.
_MAX_MESSAGE_LENGTH = 1024
_CONTROL_THREADS = 4

Handler = Callable[[Any, grpc.ServicerContext], Message]


def add_services(server: grpc.Server, models: ModelServer, turns: RequestTurns, health: Health | None) -> None:
    """Let `server` answer for PredictionService, ModelService and, where `health` is given, the health protocol.

    Only the calls that run a model take turns. Questions about models, their status and the server's health are
    answered by threads of their own, so that they are answered under any load; configs are taken one after another.
    """
    control = ThreadPoolExecutor(_CONTROL_THREADS, thread_name_prefix="grpc-control")
    reload = ThreadPoolExecutor(1, thread_name_prefix="grpc-reload")
    prediction = prediction_service_pb2_grpc.PredictionServiceServicer()
    for method, work in (
        ("Predict", models.predict),
        ("Classify", models.classify),
        ("Regress", models.regress),
        ("MultiInference", models.multi_inference),
    ):
        setattr(prediction, method, _inference(models, method, work, turns))
    prediction.GetModelMetadata = _InThreads(_question(models.get_model_metadata), control)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)

    model = model_service_pb2_grpc.ModelServiceServicer()
    model.GetModelStatus = _InThreads(_question(models.get_model_status), control)
    model.HandleReloadConfigRequest = _InThreads(_reload(models), reload)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, server)

    if health is not None:
        health.Check = _InThreads(health.Check, control)
        add_HealthServicer_to_server(health, server)


class _InThreads:
    """A handler that gRPC runs in threads of its own; by the name of this attribute it finds them."""

    def __init__(self, handler: Handler, threads: ThreadPoolExecutor):
        self._handler = handler
        self.experimental_thread_pool = threads

    def __call__(self, request: Message, context: grpc.ServicerContext) -> Message:
        return self._handler(request, context)


def _inference(models: ModelServer, method: str, work: Callable[[Any], Message], turns: RequestTurns) -> Handler:
    def answer(request: Message, context: grpc.ServicerContext) -> Message:
        started = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            with turns.turn(context):
                return work(request)
        except Exception as error:
            code, message = _status(error)
        finally:
            seconds = time.perf_counter() - started
            models.metrics.observe_request(_model_name(request), method, "GRPC", code.name, seconds)
        _abort(context, code, message)

    return answer


def _question(work: Callable[[Any], Message]) -> Handler:
    def answer(request: Message, context: grpc.ServicerContext) -> Message:
        try:
            return work(request)
        except Exception as error:
            code, message = _status(error)
        _abort(context, code, message)

    return answer


def _reload(models: ModelServer) -> Handler:
    def answer(request: ReloadConfigRequest, context: grpc.ServicerContext) -> Message:
        before = models.metrics.increases(request.metric_names, {})
        try:
            models.reload_config(request.config, timeout=time_left(context))
            increases = models.metrics.increases(request.metric_names, before)
            metrics = [{"name": name, "int64_value_increase": increase} for name, increase in increases.items()]
            done: Message = ReloadConfigResponse(status={}, metric=metrics)
            return done
        except Exception as error:
            code, message = _status(error)
        log.error("the config was not taken: %s", message)
        _abort(context, code, message)

    return answer


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, message: str) -> NoReturn:
    context.abort(code, message)
    raise AssertionError("abort() raises")


def _model_name(request: Any) -> str:
    if isinstance(request, MultiInferenceRequest):
        return str(request.tasks[0].model_spec.name) if request.tasks else ""
    return str(request.model_spec.name)


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, RequestError):
        return error.code, _shortened(error.message)
    log.error("a request failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, _shortened(f"{type(error).__name__}: {error}")


def _shortened(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE_LENGTH else f"{message[:_MAX_MESSAGE_LENGTH]}...TRUNCATED"
