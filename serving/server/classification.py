"""Classify, Regress and MultiInference on one SavedModel, checked and worded as TensorFlow Serving does.

The requests carry tf.train.Examples; the model's signature parses them itself. As in TensorFlow Serving's default
(`--enable_signature_method_name_check=false`) a signature is judged by the names of its inputs and outputs and not by
its method name, so that models made by TensorFlow 2 can be classified with, too. Imports TensorFlow.
"""

from collections.abc import Iterable
from typing import Any

import grpc
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DT_FLOAT, DT_STRING, DataType
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.classification_pb2 import (
    Class,
    ClassificationRequest,
    ClassificationResponse,
    ClassificationResult,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse, RegressionResult

from serving.server.errors import RequestError, invalid, listed_sizes
from serving.server.served_model import DEFAULT_SIGNATURE, ServedModel

CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

# The names that tf.compat.v1.saved_model.signature_constants gives both kinds of signatures.
_INPUTS = "inputs"
_CLASSES = "classes"
_SCORES = "scores"
_OUTPUTS = "outputs"


def classify(model: ServedModel, request: ClassificationRequest) -> ClassificationResponse:
    """Label every example with the classes and scores of a signature `inputs` -> `classes` and/or `scores`.

    Of the answer's model_spec only the signature's name is filled.

    Raises:
        RequestError: INVALID_ARGUMENT for an unknown signature, one that does not classify, an empty input or outputs
            that are not [number of examples, number of classes]; else what `ServedModel.predict` raises.
    """
    name, signature = _signature(model, request.model_spec)
    _check_classifies(signature)
    response = ClassificationResponse(result=_classified(model, name, signature, _serialized_examples(request.input)))
    response.model_spec.signature_name = name
    return response


def regress(model: ServedModel, request: RegressionRequest) -> RegressionResponse:
    """Give every example the value of a signature `inputs` -> `outputs`.

    Of the answer's model_spec only the signature's name is filled.

    Raises:
        RequestError: INVALID_ARGUMENT for an unknown signature, one that does not regress, an empty input or an output
            that is not [number of examples] or [number of examples, 1]; else what `ServedModel.predict` raises.
    """
    name, signature = _signature(model, request.model_spec)
    _check_regresses(signature)
    response = RegressionResponse(result=_regressed(model, name, _serialized_examples(request.input)))
    response.model_spec.signature_name = name
    return response


def multi_inference(model: ServedModel, request: MultiInferenceRequest) -> MultiInferenceResponse:
    """Classify and regress the same examples with several signatures, in the order of the request's tasks.

    Of each result's model_spec only the signature's name is filled.

    Raises:
        RequestError: as `classify` and `regress`; INVALID_ARGUMENT also for tasks that name several models or
            one signature twice; UNIMPLEMENTED for another method.
    """
    _check_tasks(model, request)
    examples = _serialized_examples(request.input)
    response = MultiInferenceResponse()
    for task in request.tasks:
        name, signature = _task_signature(model, task.model_spec)
        result = response.results.add()
        if task.method_name == CLASSIFY_METHOD:
            result.classification_result.CopyFrom(_classified(model, name, signature, examples))
        else:
            result.regression_result.CopyFrom(_regressed(model, name, examples))
        result.model_spec.signature_name = name
    return response


def example_count(examples: Input) -> int:
    """The number of tf.train.Examples a request carries."""
    kind = examples.WhichOneof("kind")
    return len(getattr(examples, kind).examples) if kind else 0


def _check_tasks(model: ServedModel, request: MultiInferenceRequest) -> None:
    signatures_seen: set[str] = set()
    model_name = ""
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        model_name = model_name or task.model_spec.name
        if task.model_spec.name != model_name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in signatures_seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        signatures_seen.add(name)
        _, signature = _task_signature(model, task.model_spec)
        if task.method_name == CLASSIFY_METHOD:
            _check_classifies(signature)
        elif task.method_name == REGRESS_METHOD:
            _check_regresses(signature)
        else:
            raise RequestError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")


def _signature(model: ServedModel, spec: ModelSpec) -> tuple[str, SignatureDef]:
    name = spec.signature_name or DEFAULT_SIGNATURE
    if name not in model.signature_defs:
        raise invalid(f"No signature was found with the name: {name}")
    return name, model.signature_defs[name]


def _task_signature(model: ServedModel, spec: ModelSpec) -> tuple[str, SignatureDef]:
    name = spec.signature_name or DEFAULT_SIGNATURE
    if name not in model.signature_defs:
        raise invalid(f"Requested signature not found in model graph: {name}")
    return name, model.signature_defs[name]


def _check_classifies(signature: SignatureDef) -> None:
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {signature}")
    if _CLASSES not in signature.outputs and _SCORES not in signature.outputs:
        raise invalid(
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". '
            f"Signature was: {signature}"
        )


def _check_regresses(signature: SignatureDef) -> None:
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise invalid(f"No regression inputs found in SignatureDef: {signature}")
    if _OUTPUTS not in signature.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {signature}")


def _serialized_examples(request: Input) -> list[bytes]:
    if example_count(request) == 0:
        raise invalid("Input is empty.")
    if request.WhichOneof("kind") == "example_list":
        return [example.SerializeToString() for example in request.example_list.examples]
    with_context = request.example_list_with_context
    # Protobuf's wire format: messages written one after the other read as one in which the later field wins.
    context = with_context.context.SerializeToString()
    return [context + example.SerializeToString() for example in with_context.examples]


def _run(model: ServedModel, name: str, outputs: Iterable[str], examples: list[bytes]) -> dict[str, TensorProto]:
    request = PredictRequest(output_filter=outputs)
    request.model_spec.signature_name = name
    tensor = request.inputs[_INPUTS]
    tensor.dtype = DT_STRING
    tensor.tensor_shape.dim.add().size = len(examples)
    tensor.string_val.extend(examples)
    return dict(model.predict(request).outputs)


def _classified(model: ServedModel, name: str, signature: SignatureDef, examples: list[bytes]) -> ClassificationResult:
    outputs = _run(model, name, [key for key in (_CLASSES, _SCORES) if key in signature.outputs], examples)
    classes = _class_matrix(outputs, _CLASSES, DT_STRING, len(examples))
    scores = _class_matrix(outputs, _SCORES, DT_FLOAT, len(examples))
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    count = next(matrix.shape[1] for matrix in (classes, scores) if matrix is not None)
    result = ClassificationResult()
    for row in range(len(examples)):
        classifications = result.classifications.add()
        for column in range(count):
            entry = classifications.classes.add()
            if classes is not None:
                _set_label(entry, classes[row, column])
            if scores is not None:
                entry.score = scores[row, column]
    return result


def _class_matrix(outputs: dict[str, TensorProto], key: str, dtype: int, examples: int) -> NDArray[Any] | None:
    if key not in outputs:
        return None
    proto = outputs[key]
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if len(shape) != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {listed_sizes(shape)}")
    if proto.dtype != dtype:
        raise invalid(f"Expected {key} Tensor of {DataType.Name(dtype)}. Got: {DataType.Name(proto.dtype)}")
    if shape[0] != examples:
        raise invalid(f"Expected {key} output batch size of {examples}. Got: {shape[0]}")
    matrix: NDArray[Any] = tf.make_ndarray(proto)
    return matrix


def _set_label(entry: Class, label: bytes) -> None:
    try:
        entry.label = label.decode()
    except UnicodeDecodeError as error:
        raise invalid(f"the class {label!r} is not UTF-8: a ClassificationResult cannot carry it") from error


def _regressed(model: ServedModel, name: str, examples: list[bytes]) -> RegressionResult:
    proto = _run(model, name, [_OUTPUTS], examples)[_OUTPUTS]
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {listed_sizes(shape)}"
        )
    if shape[0] != len(examples):
        raise invalid(f"Input batch size did not match output batch size: {len(examples)} vs. {shape[0]}")
    if proto.dtype != DT_FLOAT:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {DataType.Name(proto.dtype)}")
    result = RegressionResult()
    for value in tf.make_ndarray(proto).ravel().tolist():
        result.regressions.add().value = value
    return result
