"""One SavedModel in memory: answers Predict requests by its signatures. Imports TensorFlow."""

import math
from collections.abc import Iterable
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from serving.model import signatures
from serving.model.saved_model import LoadedModel, Signature
from serving.server.batching import BatchedSignature
from serving.server.config_files import BatchingParameters
from serving.server.errors import RequestError, invalid, listed_names

DEFAULT_SIGNATURE = "serving_default"

# A TensorProto may hold one value and a shape that repeats it: a few bytes must not ask for all the memory.
_MAX_REPEATED_BYTES = 256 * 2**20
_TRACE_LINES = ("Detected at node", "  File ", "<stack traces unavailable>")
_STATUS_OF_CODE: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class ServedModel:
    """The signatures of one SavedModel, ready to run from several threads at once.

    Attributes:
        signature_defs: the signatures as they stand in the file, by name.
        warmup_seconds: what replaying the warm-up requests took; None where that was not done.

    Args:
        folder: holds `saved_model.pb`; its MetaGraph tagged `serve` is loaded.
        batching: run requests that arrive together in one go; None runs each by itself.

    Raises:
        ValueError: the file is no SavedModel, or has no graph tagged `serve`.
        tf.errors.OpError, OSError: the file or its variables cannot be read.
    """

    def __init__(self, folder: Path, *, batching: BatchingParameters | None = None):
        loaded = LoadedModel(str(folder))
        self.signature_defs = loaded.signature_defs
        self.warmup_seconds: float | None = None
        self._loaded = loaded  # the signatures do not own their variables
        self._run = {
            name: run if batching is None else self._batched(name, run, batching)
            for name, run in loaded.signatures.items()
        }

    def predict(self, request: PredictRequest) -> PredictResponse:
        """Run the signature that the request names; the answer's model_spec holds only the signature's name.

        Numeric outputs come back as `tensor_content`, strings as `string_val`.

        Raises:
            RequestError: INVALID_ARGUMENT for inputs or an output filter that do not fit the signature,
                FAILED_PRECONDITION for an unknown signature, else the code of the TensorFlow error.
        """
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = self.signature_defs.get(name)
        if signature is None or name not in self._run:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found. The model has {listed_names(self._run)}.',
            )
        wanted = _wanted_outputs(signature, request.output_filter)
        inputs = _input_tensors(signature, request)
        try:
            outputs = self._run[name](inputs)
        except tf.errors.InvalidArgumentError as error:
            if name != signatures.COLORIZE_BYTES or len(inputs) != 1:
                raise _request_error(error) from error
            outputs = self._run_each(name, inputs)
        except tf.errors.OpError as error:
            raise _request_error(error) from error
        response = PredictResponse()
        response.model_spec.signature_name = name
        for output in wanted:
            _write_tensor(outputs[output], response.outputs[output])
        return response

    def _run_each(self, name: str, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run a signature on each row by itself, so that one that cannot be used is named by its index.

        Where rows of several requests ran together, the request whose rows are all right is answered.
        """
        run = self._loaded.signatures[name]
        [(key, rows)] = inputs.items()
        found = []
        for index in range(len(rows)):
            try:
                found.append(run({key: rows[index : index + 1]}))
            except tf.errors.OpError as error:
                raise _request_error(error, f"{key}[{index}]: ") from error
        return {output: tf.concat([each[output] for each in found], axis=0) for output in found[0]}

    def _batched(self, name: str, run: Signature, batching: BatchingParameters) -> BatchedSignature:
        signature = self.signature_defs[name]
        inputs = {
            key: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
            for key, info in signature.inputs.items()
        }
        return BatchedSignature(run, inputs, list(signature.outputs), batching)


def _wanted_outputs(signature: SignatureDef, output_filter: Iterable[str]) -> list[str]:
    wanted = list(output_filter)
    for name in wanted:
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {listed_names(signature.outputs)}."
            )
    if len(set(wanted)) < len(wanted):
        raise invalid(f"duplicate output tensor alias: {next(name for name in wanted if wanted.count(name) > 1)}")
    return wanted or list(signature.outputs)


def _input_tensors(signature: SignatureDef, request: PredictRequest) -> dict[str, tf.Tensor]:
    expected, sent = set(signature.inputs), set(request.inputs)
    extra, missing = sent - expected, expected - sent - set(signature.defaults)
    if len(sent) != len(expected) and (extra or missing):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(expected)} "
            f"len({listed_names(sent)}) != len({listed_names(expected)}). "
            f"Sent extra: {listed_names(extra)}. Missing but required: {listed_names(missing)}."
        )
    if extra:
        raise invalid(
            f"input tensor alias not found in signature: {min(extra)}. "
            f"Inputs expected to be in the set {listed_names(expected)}."
        )
    return {
        name: _read_tensor(name, request.inputs[name] if name in sent else signature.defaults[name], info)
        for name, info in signature.inputs.items()
    }


def _read_tensor(name: str, proto: TensorProto, info: TensorInfo) -> tf.Tensor:
    if proto.dtype != info.dtype:
        raise invalid(f"input {name!r}: expected {_dtype_name(info.dtype)}, received {_dtype_name(proto.dtype)}")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    expected_shape = tf.TensorShape(info.tensor_shape)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"input {name!r}: its shape must be fully known, received {shape}")
    if not expected_shape.is_compatible_with(shape):
        raise invalid(f"input {name!r}: expected shape {expected_shape}, received {shape}")
    dtype = tf.as_dtype(proto.dtype)
    count = math.prod(shape)
    is_plain = dtype.is_floating or dtype.is_integer or dtype.is_bool
    if proto.tensor_content and is_plain:
        # A view of the message's bytes: the one copy is TensorFlow's own, into aligned memory.
        values = np.frombuffer(proto.tensor_content, np.uint8)
        if values.nbytes != count * dtype.size:
            raise invalid(
                f"input {name!r}: shape {shape} of {dtype.name} takes {count * dtype.size} bytes, "
                f"received {values.nbytes}"
            )
        return tf.constant(values.view(dtype.as_numpy_dtype).reshape(shape))
    if not proto.tensor_content:
        held = sum(len(values) for field, values in proto.ListFields() if field.name.endswith("_val"))
        if held > count * (2 if dtype.is_complex else 1) or (held == 0 and count > 0):
            raise invalid(f"input {name!r}: shape {shape} takes {count} values, received {held}")
        if held < count and count * dtype.size > _MAX_REPEATED_BYTES:
            raise invalid(f"input {name!r}: shape {shape} is too large to be filled by repeating {held} values")
    try:
        return tf.io.parse_tensor(proto.SerializeToString(), dtype)
    except tf.errors.OpError as error:
        raise invalid(f"input {name!r}: {error.message}") from error


def _write_tensor(tensor: tf.Tensor, proto: TensorProto) -> None:
    proto.dtype = tensor.dtype.as_datatype_enum
    for size in tensor.shape:
        proto.tensor_shape.dim.add().size = size
    if tensor.dtype == tf.string:
        proto.string_val.extend(np.ravel(tensor.numpy()).tolist())
    else:
        # numpy() copies; a view does not, but Python's buffers know no bfloat16 and the like.
        proto.tensor_content = (memoryview(tensor) if tensor.dtype == tf.float32 else tensor.numpy()).tobytes()


def _request_error(error: tf.errors.OpError, place: str = "") -> RequestError:
    code = _STATUS_OF_CODE.get(error.error_code, grpc.StatusCode.UNKNOWN)
    return RequestError(code, f"{place}{_without_traces(error.message)}")


def _without_traces(message: str) -> str:
    """The words of the error itself: TensorFlow puts the places in Python before them and the nodes behind them."""
    lines = [line for line in message.splitlines() if line.strip()]
    if lines and lines[0].startswith("Graph execution error"):
        lines = [line for line in lines[1:] if not line.startswith(_TRACE_LINES)]
    return "\n".join(line for line in lines if not line.lstrip().startswith("[[{{")) or message


def _dtype_name(datatype: int) -> str:
    try:
        return str(tf.as_dtype(datatype).name)
    except TypeError:
        return f"unknown data type {datatype}"
