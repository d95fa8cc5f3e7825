"""One SavedModel in memory: loads it, warms it up, answers Predict requests by its signatures. Imports TensorFlow."""

import keyword
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, SignatureDef, TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from serving.server.batching import BatchedSignature
from serving.server.config_files import BatchingParameters
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
        warmup_seconds: what replaying the warm-up requests took; None where there were none.

    Args:
        folder: holds `saved_model.pb`; its MetaGraph tagged `serve` is loaded.
        warmup: replay the requests in `assets.extra/tf_serving_warmup_requests`, if there are any, so that tracing,
            kernel selection and memory growth do not fall on the first real request.
        batching: run requests that arrive together in one go; None runs each by itself.

    Raises:
        ValueError: the file is no SavedModel, has no graph tagged `serve`, or a warm-up request cannot be answered.
        tf.errors.OpError, OSError: the file or its variables cannot be read.
    """

    def __init__(self, folder: Path, *, warmup: bool = True, batching: BatchingParameters | None = None):
        saved_model = _read_saved_model(folder / SAVED_MODEL_FILE)
        # Copies: a part of a message keeps all of it in memory, the graph too.
        self.signature_defs = {
            name: SignatureDef.FromString(signature.SerializeToString())
            for name, signature in _serving_graph(saved_model, folder).signature_def.items()
        }
        # The functions do not own their variables: the loaded object must live as long as they do.
        self._loaded = _load(folder, saved_model)
        self._run: dict[str, Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]] = {}
        for name, function in self._loaded.signatures.items():
            run = partial(_call, function)
            self._run[name] = run if batching is None else self._batched(name, run, batching)
        self.warmup_seconds: float | None = None
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
        if signature is None or name not in self._run:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found. The model has {_listed(self._run)}.',
            )
        wanted = _wanted_outputs(signature, request.output_filter)
        inputs = _input_tensors(signature, request)
        try:
            outputs = self._run[name](inputs)
        except tf.errors.OpError as error:
            code = _STATUS_OF_CODE.get(error.error_code, grpc.StatusCode.UNKNOWN)
            raise RequestError(code, _without_traces(error.message)) from error
        response = PredictResponse()
        response.model_spec.signature_name = name
        for output in wanted:
            _write_tensor(outputs[output], response.outputs[output])
        return response

    def _batched(self, name: str, run: Callable[..., Any], batching: BatchingParameters) -> BatchedSignature:
        signature = self.signature_defs[name]
        inputs = {
            key: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
            for key, info in signature.inputs.items()
        }
        return BatchedSignature(run, inputs, list(signature.outputs), batching)

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
            try:
                self._replay_one(prediction)
            except ValueError as error:
                raise ValueError(f"{path}: record {count}: {error}") from error
            except RequestError as error:
                raise ValueError(f"{path}: request {count} failed: {error.code.name}: {error.message}") from error
        self.warmup_seconds = time.monotonic() - started
        log.info("warmed up with %d requests in %.1f s", count, self.warmup_seconds)

    def _replay_one(self, prediction: PredictionLog) -> None:
        # Not at the top: classification stands on this module.
        from serving.server import classification

        match prediction.WhichOneof("log_type"):
            case "predict_log":
                self.predict(prediction.predict_log.request)
            case "classify_log":
                classification.classify(self, prediction.classify_log.request)
            case "regress_log":
                classification.regress(self, prediction.regress_log.request)
            case "multi_inference_log":
                classification.multi_inference(self, prediction.multi_inference_log.request)
            case kind:
                raise ValueError(f"it holds {kind or 'nothing'}, which cannot be replayed")


def _read_saved_model(path: Path) -> SavedModel:
    try:
        return SavedModel.FromString(path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # protobuf's DecodeError has no common base in all of its implementations
        raise ValueError(f"{path} is not a SavedModel: {error}") from error


def _serving_graph(saved_model: SavedModel, folder: Path) -> MetaGraphDef:
    for meta_graph in saved_model.meta_graphs:
        if _SERVE_TAG in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError(f"{folder} has no graph tagged {_SERVE_TAG!r}; it is not a SavedModel made for serving")


def _load(folder: Path, saved_model: SavedModel) -> Any:
    graph = _serving_graph(saved_model, folder)
    if not any(_parameter(name) != name for signature in graph.signature_def.values() for name in signature.inputs):
        return tf.saved_model.load(str(folder), tags=[_SERVE_TAG])
    # TensorFlow makes every input of a TensorFlow 1 model a parameter of a Python function: it cannot load this one.
    renamed = SavedModel.FromString(saved_model.SerializeToString())
    for signature in _serving_graph(renamed, folder).signature_def.values():
        for name in [name for name in signature.inputs if _parameter(name) != name]:
            signature.inputs[_parameter(name)].CopyFrom(signature.inputs[name])
            del signature.inputs[name]
    with tempfile.TemporaryDirectory(prefix="served-model-") as twin:
        (Path(twin) / SAVED_MODEL_FILE).write_bytes(renamed.SerializeToString())
        for child in folder.iterdir():
            if child.name != SAVED_MODEL_FILE:
                (Path(twin) / child.name).symlink_to(child.absolute())
        return tf.saved_model.load(twin, tags=[_SERVE_TAG])


def _call(function: Any, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    # Not function(**inputs): an input may be named as a parameter of the call itself.
    return function._call_impl((), {_parameter(name): tensor for name, tensor in inputs.items()})


def _parameter(name: str) -> str:
    return f"{name}_of_this_model" if keyword.iskeyword(name) else name


def _wanted_outputs(signature: SignatureDef, output_filter: Iterable[str]) -> list[str]:
    wanted = list(output_filter)
    for name in wanted:
        if name not in signature.outputs:
            raise _invalid(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_listed(signature.outputs)}."
            )
    if len(set(wanted)) < len(wanted):
        raise _invalid(f"duplicate output tensor alias: {next(name for name in wanted if wanted.count(name) > 1)}")
    return wanted or list(signature.outputs)


def _input_tensors(signature: SignatureDef, request: PredictRequest) -> dict[str, tf.Tensor]:
    expected, sent = set(signature.inputs), set(request.inputs)
    extra, missing = sent - expected, expected - sent - set(signature.defaults)
    if len(sent) != len(expected) and (extra or missing):
        raise _invalid(
            f"input size does not match signature: {len(sent)}!={len(expected)} "
            f"len({_listed(sent)}) != len({_listed(expected)}). "
            f"Sent extra: {_listed(extra)}. Missing but required: {_listed(missing)}."
        )
    if extra:
        raise _invalid(
            f"input tensor alias not found in signature: {min(extra)}. "
            f"Inputs expected to be in the set {_listed(expected)}."
        )
    return {
        name: _read_tensor(name, request.inputs[name] if name in sent else signature.defaults[name], info)
        for name, info in signature.inputs.items()
    }


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


def _without_traces(message: str) -> str:
    """The words of the error itself: TensorFlow puts the places in Python before them and the nodes behind them."""
    lines = [line for line in message.splitlines() if line.strip()]
    if lines and lines[0].startswith("Graph execution error"):
        lines = [line for line in lines[1:] if not line.startswith(("Detected at node", "  File "))]
    return "\n".join(line for line in lines if not line.lstrip().startswith("[[{{node")) or message


def _dtype_name(datatype: int) -> str:
    try:
        return tf.as_dtype(datatype).name
    except TypeError:
        return f"unknown data type {datatype}"


def _listed(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
