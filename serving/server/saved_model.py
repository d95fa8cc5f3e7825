"""One SavedModel in memory: loads it, warms it up, answers Predict requests by its signatures. Imports TensorFlow."""

import math
import time
from collections.abc import Iterable
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, SignatureDef, TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from serving.server.errors import RequestError
from serving.server.version_manager import SAVED_MODEL_FILE, log

DEFAULT_SIGNATURE = "serving_default"
WARMUP_REQUESTS = "assets.extra/tf_serving_warmup_requests"

_SERVE_TAG = "serve"
_MAX_WARMUP_REQUESTS = 1000  # TensorFlow Serving's WarmupConsts::kMaxNumRecords
# A TensorProto may hold one value and a shape that repeats it: a few bytes must not ask for all the memory.
_MAX_REPEATED_BYTES = 256 * 2**20
_STATUS_OF_CODE: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class ServedModel:
    """The signatures of one SavedModel, ready to run from several threads at once.

    Attributes:
        signature_defs: the signatures as they stand in the file, by name.

    Args:
        folder: holds `saved_model.pb`; its MetaGraph tagged `serve` is loaded.
        warmup: replay the requests in `assets.extra/tf_serving_warmup_requests`, if there are any, so that tracing,
            kernel selection and memory growth do not fall on the first real request.

    Raises:
        ValueError: the file is no SavedModel, has no graph tagged `serve`, or a warm-up request cannot be answered.
        tf.errors.OpError, OSError: the file or its variables cannot be read.
    """

    def __init__(self, folder: Path, *, warmup: bool = True):
        self.signature_defs = dict(_meta_graph(folder / SAVED_MODEL_FILE).signature_def)
        # The functions do not own their variables: the loaded object must live as long as they do.
        self._loaded = tf.saved_model.load(str(folder), tags=[_SERVE_TAG])
        if warmup:
            self._replay(folder / WARMUP_REQUESTS)

    def predict(self, request: PredictRequest) -> PredictResponse:
        """Run the signature that the request names; the answer's model_spec holds only the signature's name.

        Numeric outputs come back as `tensor_content`, strings as `string_val`.

        Raises:
            RequestError: INVALID_ARGUMENT for inputs or an output filter that do not fit the signature,
                FAILED_PRECONDITION for an unknown signature, else the code of the TensorFlow error.
        """
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = self.signature_defs.get(name)
        if signature is None or name not in self._loaded.signatures:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found. The model has {_listed(self._loaded.signatures)}.',
            )
        wanted = _wanted_outputs(signature, request.output_filter)
        inputs = _input_tensors(signature, request)
        try:
            outputs = self._loaded.signatures[name](**inputs)
        except tf.errors.OpError as error:
            code = _STATUS_OF_CODE.get(error.error_code, grpc.StatusCode.UNKNOWN)
            raise RequestError(code, error.message) from error
        response = PredictResponse()
        response.model_spec.signature_name = name
        for output in wanted:
            _write_tensor(outputs[output], response.outputs[output])
        return response

    def _replay(self, path: Path) -> None:
        if not path.is_file():
            return
        started = time.monotonic()
        count = 0
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            count += 1
            if count > _MAX_WARMUP_REQUESTS:
                raise ValueError(f"{path}: more than {_MAX_WARMUP_REQUESTS} warm-up requests")
            try:
                prediction = PredictionLog.FromString(record)
            except Exception as error:
                raise ValueError(f"{path}: record {count} is not a PredictionLog: {error}") from error
            kind = prediction.WhichOneof("log_type")
            if kind != "predict_log":
                raise ValueError(f"{path}: record {count} holds {kind or 'nothing'}; only predict_log is supported")
            try:
                self.predict(prediction.predict_log.request)
            except RequestError as error:
                raise ValueError(f"{path}: request {count} failed: {error.code.name}: {error.message}") from error
        log.info("warmed up with %d requests in %.1f s", count, time.monotonic() - started)


def _meta_graph(path: Path) -> MetaGraphDef:
    try:
        saved_model = SavedModel.FromString(path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # protobuf's DecodeError has no common base in all of its implementations
        raise ValueError(f"{path} is not a SavedModel: {error}") from error
    for meta_graph in saved_model.meta_graphs:
        if _SERVE_TAG in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError(f"{path} has no graph tagged {_SERVE_TAG!r}; it is not a SavedModel made for serving")


def _wanted_outputs(signature: SignatureDef, output_filter: Iterable[str]) -> list[str]:
    wanted = list(output_filter)
    for name in wanted:
        if name not in signature.outputs:
            raise _invalid(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_listed(signature.outputs)}."
            )
    if len(set(wanted)) < len(wanted):
        raise _invalid(f"duplicate output tensor alias in {_listed(wanted)}")
    return wanted or list(signature.outputs)


def _input_tensors(signature: SignatureDef, request: PredictRequest) -> dict[str, tf.Tensor]:
    expected, sent = set(signature.inputs), set(request.inputs)
    if expected != sent:
        raise _invalid(
            f"input size does not match signature: sent {_listed(sent)}, expected {_listed(expected)}. "
            f"Sent extra: {_listed(sent - expected)}. Missing but required: {_listed(expected - sent)}."
        )
    return {name: _read_tensor(name, request.inputs[name], signature.inputs[name]) for name in expected}


def _read_tensor(name: str, proto: TensorProto, info: TensorInfo) -> tf.Tensor:
    if proto.dtype != info.dtype:
        raise _invalid(f"input {name!r}: expected {_dtype_name(info.dtype)}, received {_dtype_name(proto.dtype)}")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    expected_shape = tf.TensorShape(info.tensor_shape)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise _invalid(f"input {name!r}: its shape must be fully known, received {shape}")
    if not expected_shape.is_compatible_with(shape):
        raise _invalid(f"input {name!r}: expected shape {expected_shape}, received {shape}")
    dtype = tf.as_dtype(proto.dtype)
    count = math.prod(shape)
    is_plain = dtype.is_floating or dtype.is_integer or dtype.is_bool
    if proto.tensor_content and is_plain:
        # A view of the message's bytes: the one copy is TensorFlow's own, into aligned memory.
        values = np.frombuffer(proto.tensor_content, np.uint8)
        if values.nbytes != count * dtype.size:
            raise _invalid(
                f"input {name!r}: shape {shape} of {dtype.name} takes {count * dtype.size} bytes, "
                f"received {values.nbytes}"
            )
        return tf.constant(values.view(dtype.as_numpy_dtype).reshape(shape))
    if not proto.tensor_content:
        held = sum(len(values) for field, values in proto.ListFields() if field.name.endswith("_val"))
        if held > count * (2 if dtype.is_complex else 1) or (held == 0 and count > 0):
            raise _invalid(f"input {name!r}: shape {shape} takes {count} values, received {held}")
        if held < count and count * dtype.size > _MAX_REPEATED_BYTES:
            raise _invalid(f"input {name!r}: shape {shape} is too large to be filled by repeating {held} values")
    try:
        return tf.io.parse_tensor(proto.SerializeToString(), dtype)
    except tf.errors.OpError as error:
        raise _invalid(f"input {name!r}: {error.message}") from error


def _write_tensor(tensor: tf.Tensor, proto: TensorProto) -> None:
    proto.dtype = tensor.dtype.as_datatype_enum
    for size in tensor.shape:
        proto.tensor_shape.dim.add().size = size
    if tensor.dtype == tf.string:
        proto.string_val.extend(np.ravel(tensor.numpy()).tolist())
    else:
        # numpy() copies; a view does not, but Python's buffers know no bfloat16 and the like.
        proto.tensor_content = (memoryview(tensor) if tensor.dtype == tf.float32 else tensor.numpy()).tobytes()


def _dtype_name(datatype: int) -> str:
    try:
        return tf.as_dtype(datatype).name
    except TypeError:
        return f"unknown data type {datatype}"


def _listed(names: Iterable[str]) -> str:
    return "{" + ", ".join(sorted(names)) + "}"


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
