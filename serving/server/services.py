"""TensorFlow Serving's gRPC services over the versions of one model. Imports TensorFlow, through the messages."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import grpc
from google.protobuf.message import Message
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, GetModelStatusResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from serving.server.errors import RequestError
from serving.server.saved_model import ServedModel
from serving.server.version_manager import VersionManager, VersionUnavailableError

log = logging.getLogger(__name__)

_SIGNATURE_DEF = "signature_def"
# The words travel in an HTTP/2 header, whose size gRPC bounds; TensorFlow Serving cuts at the same length.
_MAX_MESSAGE_LENGTH = 1024


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; Classify, Regress and MultiInference are answered with UNIMPLEMENTED."""

    def __init__(self, model_name: str, versions: VersionManager[ServedModel]):
        self._model_name = model_name
        self._versions = versions

    def Predict(self, request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:  # noqa: N802, D102
        return _answer(self._predict, request, context)

    def GetModelMetadata(  # noqa: N802, D102
        self, request: GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> GetModelMetadataResponse:
        return _answer(self._metadata, request, context)

    def Classify(self, request: Message, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802, D102
        _unimplemented("Classify", context)

    def Regress(self, request: Message, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802, D102
        _unimplemented("Regress", context)

    def MultiInference(self, request: Message, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802, D102
        _unimplemented("MultiInference", context)

    def _predict(self, request: PredictRequest) -> PredictResponse:
        with self._lend(request) as (version, model):
            response = model.predict(request)
        response.model_spec.name = self._model_name
        response.model_spec.version.value = version
        return response

    def _metadata(self, request: GetModelMetadataRequest) -> GetModelMetadataResponse:
        if not request.metadata_field:
            raise _invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise _invalid(f"Metadata field {field} is not supported")
        with self._lend(request) as (version, model):
            signatures = SignatureDefMap(signature_def=model.signature_defs)
        response = GetModelMetadataResponse()
        response.model_spec.name = self._model_name
        response.model_spec.version.value = version
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        return response

    @contextmanager
    def _lend(self, request: PredictRequest | GetModelMetadataRequest) -> Iterator[tuple[int, ServedModel]]:
        name, version = _wanted(request)
        not_found = RequestError(
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: "
            + (f"Latest({name})" if version is None else f"Specific({name}, {version})"),
        )
        if name != self._model_name:
            raise not_found
        try:
            with self._versions.serve(version) as lent:
                yield lent
        except VersionUnavailableError:
            raise not_found from None


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; HandleReloadConfigRequest is answered with UNIMPLEMENTED."""

    def __init__(self, model_name: str, versions: VersionManager[ServedModel]):
        self._model_name = model_name
        self._versions = versions

    def GetModelStatus(  # noqa: N802, D102
        self, request: GetModelStatusRequest, context: grpc.ServicerContext
    ) -> GetModelStatusResponse:
        return _answer(self._status, request, context)

    def HandleReloadConfigRequest(  # noqa: N802, D102
        self, request: Message, context: grpc.ServicerContext
    ) -> NoReturn:
        _unimplemented("HandleReloadConfigRequest", context)

    def _status(self, request: GetModelStatusRequest) -> GetModelStatusResponse:
        name, version = _wanted(request)
        known = self._versions.statuses() if name == self._model_name else []
        if version is not None:
            known = [status for status in known if status.version == version]
            if not known:
                raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {name}")
        if not known:
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        response = GetModelStatusResponse()
        for status in reversed(known):  # the newest first, as TensorFlow Serving lists them
            entry = response.model_version_status.add(version=status.version, state=int(status.state))
            entry.status.error_code = status.error_code
            entry.status.error_message = status.error_message
        return response


def _wanted(request: PredictRequest | GetModelMetadataRequest | GetModelStatusRequest) -> tuple[str, int | None]:
    if not request.HasField("model_spec"):
        raise _invalid("Missing ModelSpec")
    spec: ModelSpec = request.model_spec
    if not spec.name:
        raise _invalid("ModelSpec has no name specified.")
    if spec.WhichOneof("version_choice") == "version_label":
        raise _invalid(f"Unrecognized servable version label: {spec.version_label}")
    return spec.name, spec.version.value if spec.HasField("version") else None


def _answer(work: Callable, request: Message, context: grpc.ServicerContext) -> Message:
    if not context.is_active():
        # Its client gave up while it waited for a thread: the model's time belongs to those who still wait.
        context.abort(grpc.StatusCode.CANCELLED, "the client is gone")
    try:
        return work(request)
    except RequestError as error:
        code, message = error.code, error.message
    except Exception as error:
        log.exception("a request failed")
        code, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
    raise context.abort(code, message[:_MAX_MESSAGE_LENGTH])  # abort() itself raises


def _unimplemented(method: str, context: grpc.ServicerContext) -> NoReturn:
    raise context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not supported by this server")


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
