"""Answers a client's requests in this process: a model of ONNX in the place of a server, behind the same channel."""

import asyncio
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

import grpc
from google.protobuf.message import Message
from numpy.typing import NDArray

from photo.errors import SignatureMissing, TintypeError
from serving.client import wire
from serving.model import signatures
from serving.model.onnx_model import OnnxModel

_VERSION = 1  # of the model, as a server would count


class ModelAddress:
    """A model in this process where a client expects the address of a server; as `ServerAddress`.

    Attributes:
        server: the model's file or folder.
        where: it is, in words.
        headers: none.
        tls_advice: none.
    """

    def __init__(self, model: OnnxModel):
        self.server = model.source.name
        self.where = f"in this process ({model.source})"
        self.headers: Sequence[tuple[str, str]] = ()
        self.tls_advice = ""
        self._model = model

    def channel(self) -> Any:
        """Return what `Colorizer` uses of a grpc.Channel."""
        return _Channel(self._model)

    def asynchronous_channel(self) -> Any:
        """Return what `AsyncColorizer` uses of a grpc.aio.Channel, for the running event loop."""
        return _AsyncChannel(self._model)


class _Refused(grpc.RpcError):  # type: ignore[misc]
    """What a server would have answered in place of a response."""

    def __init__(self, code: grpc.StatusCode, details: str):
        super().__init__(details)
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


class _Channel:
    def __init__(self, model: OnnxModel):
        self._model = model

    def unary_unary(self, method: str, **_: object) -> "_Channel":
        assert method == wire.PREDICT  # what else there is, is asked after NOT_FOUND alone
        return self

    def future(self, request: Message, **_: object) -> "_Call":
        return _Call(lambda: _answer(self._model, request))

    def close(self) -> None:
        """End nothing: a call knows by itself that it was cancelled."""


class _Call:
    """The model is asked by who waits for the result, in its thread."""

    def __init__(self, answer: Callable[[], Message]):
        self._answer = answer
        self._is_cancelled = False

    def result(self) -> Message:
        answer = self._answer()
        if self._is_cancelled:
            raise CancelledError
        return answer

    def cancel(self) -> None:
        self._is_cancelled = True


class _AsyncChannel:
    def __init__(self, model: OnnxModel):
        self._model = model
        self._tasks: weakref.WeakSet[asyncio.Task[Message]] = weakref.WeakSet()

    def unary_unary(self, method: str, **_: object) -> Callable[..., "asyncio.Task[Message]"]:
        assert method == wire.PREDICT
        return self._call

    def _call(self, request: Message, **_: object) -> "asyncio.Task[Message]":
        task = asyncio.create_task(self._answered(request))
        self._tasks.add(task)
        return task

    async def _answered(self, request: Any) -> Message:
        if request.model_spec.signature_name == signatures.DESCRIBE:  # which waits for no thread
            return _answer(self._model, request)
        return await asyncio.to_thread(_answer, self._model, request)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()


def _answer(model: OnnxModel, request: Any) -> Message:
    """Answer a PredictRequest; raises grpc.RpcError as TensorFlow Serving refuses one."""
    name = request.model_spec.signature_name or signatures.COLORIZE
    try:
        if name == signatures.DESCRIBE:
            outputs = model.description.outputs()
        else:
            inputs = {key: wire.array_from_tensor(tensor) for key, tensor in request.inputs.items()}
            outputs = model.predict(name, inputs, request.output_filter)
    except SignatureMissing as error:
        words = f'Serving signature key "{name}" not found.'
        raise _Refused(grpc.StatusCode.FAILED_PRECONDITION, words) from error
    except ValueError as error:
        raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
    except TintypeError as error:
        raise _Refused(grpc.StatusCode.INTERNAL, str(error)) from error
    response: Message = _response(request, name, outputs)
    return response


def _response(request: Any, name: str, outputs: Mapping[str, NDArray[Any]]) -> Any:
    response = wire.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = _VERSION
    response.model_spec.signature_name = name
    for key, array in outputs.items():
        response.outputs[key].CopyFrom(wire.tensor_from_array(array))
    return response
