"""One SavedModel in memory: answers Predict requests by its signatures. Imports TensorFlow."""

from collections.abc import Iterable, Mapping

import grpc
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from serving.model import signatures
from serving.model.saved_model import LoadedModel
from serving.model.session_model import Signature
from serving.server.batching import BatchedSignature
from serving.server.config_files import BatchingParameters
from serving.server.errors import RequestError, invalid, listed_names, without_traces
from serving.server.tensor_messages import dtype_in_words, read_tensor, write_tensor

DEFAULT_SIGNATURE = "serving_default"

_STATUS_OF_CODE: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class ServedModel:
    """The signatures of one SavedModel, ready to run from several threads at once.

    Attributes:
        signature_defs: the signatures as they stand in the file, by name.
        warmup_seconds: what replaying the warm-up requests took; None where that was not done.

    Args:
        folder: of the SavedModel, on any file system TensorFlow knows; its graph tagged `serve` is loaded.
        batching: run requests that arrive together in one go; None runs each by itself.

    Raises:
        ValueError: the file is no SavedModel, or has no graph tagged `serve`.
        tf.errors.OpError, OSError: the file or its variables cannot be read.
    """

    def __init__(self, folder: str, *, batching: BatchingParameters | None = None):
        loaded = LoadedModel(folder)
        self.signature_defs = loaded.signature_defs
        self.warmup_seconds: float | None = None
        self._loaded = loaded  # the signatures do not own their variables
        self._run = {
            name: run if batching is None else self._batched(name, run, batching)
            for name, run in loaded.signatures.items()
        }

    def predict(self, request: PredictRequest, *, as_content: bool = True) -> PredictResponse:
        """Run the signature that the request names; the answer's model_spec holds only the signature's name.

        Shapes are checked by the graph alone.

        Args:
            request: its inputs by name.
            as_content: numeric outputs as raw bytes in `tensor_content`; else in the typed fields of their dtypes.

        Raises:
            RequestError: INVALID_ARGUMENT for inputs or an output filter that do not fit the signature,
                FAILED_PRECONDITION for an unknown signature, else the code of the TensorFlow error.
        """
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = self.signature_defs.get(name)
        if signature is None or name not in self._run:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found.',
            )
        wanted = _wanted_outputs(signature, request.output_filter)
        inputs = _input_tensors(signature, request)
        _check_dtypes(inputs, self._loaded.input_dtypes[name])
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
            write_tensor(outputs[output], response.outputs[output], as_content=as_content)
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
            key: tf.TensorSpec(tf.TensorShape(info.tensor_shape), self._loaded.input_dtypes[name][key])
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
        name: read_tensor(name, request.inputs[name] if name in sent else signature.defaults[name])
        for name in sorted(expected)
    }


def _request_error(error: tf.errors.OpError, place: str = "") -> RequestError:
    code = _STATUS_OF_CODE.get(error.error_code, grpc.StatusCode.UNKNOWN)
    return RequestError(code, f"{place}{without_traces(error.message)}")


def _check_dtypes(tensors: Mapping[str, tf.Tensor], dtypes: Mapping[str, tf.DType]) -> None:
    for place, (name, tensor) in enumerate(tensors.items()):
        if tensor.dtype != dtypes[name]:
            wanted, given = (dtype_in_words(dtype.name) for dtype in (dtypes[name], tensor.dtype))
            raise invalid(f"Expects arg[{place}] to be {wanted} but {given} is provided (input {name})")
