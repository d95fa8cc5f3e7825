"""TensorFlow Serving's messages to the JSON of a REST answer.

orjson writes; where it stops, at NaN, infinities and text that is not UTF-8, they are written as TensorFlow Serving
writes them. Imports TensorFlow, through the messages.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import grpc
import numpy as np
import orjson
import tensorflow as tf
from google.protobuf import json_format
from google.protobuf.message import Message
from numpy.typing import NDArray
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.classification_pb2 import ClassificationResult
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from serving.server.errors import RequestError, invalid
from serving.server.rest_types import BASE64_KEY, JSON_TYPES_OF_DTYPE
from serving.server.tensor_messages import dtype_in_words, dtype_name

SIGNATURE_DEF = "signature_def"

# String outputs under such names hold bytes and not text.
_BYTES_SUFFIX = "_bytes"


def predict_json(outputs: Mapping[str, TensorProto], *, in_rows: bool) -> bytes:
    """The answer to :predict: the outputs under `predictions`, row by row, or whole under `outputs`.

    A single output stands there without its name.

    Raises:
        RequestError: INVALID_ARGUMENT for outputs that cannot be cut into rows, or a dtype that JSON cannot carry.
    """
    arrays = {name: _array(name, proto) for name, proto in sorted(outputs.items())}
    if not arrays:
        raise invalid("Cannot convert empty tensor map to JSON")
    if in_rows:
        return b'{"predictions": ' + _rows_json(arrays) + b"}"
    if len(arrays) == 1:
        return b'{"outputs": ' + _only(arrays) + b"}"
    return b'{"outputs": ' + _object({name: _array_json(name, array) for name, array in arrays.items()}) + b"}"


def classification_json(result: ClassificationResult) -> bytes:
    """The answer to :classify: for every example a list of [label, score].

    Raises:
        RequestError: INVALID_ARGUMENT, there is no example in it.
    """
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    entries = [entry for row in result.classifications for entry in row.classes]
    scores = iter(_number_tokens([entry.score for entry in entries]))
    rows = [
        _list(_list([_dumps(entry.label), next(scores)]) for entry in classifications.classes)
        for classifications in result.classifications
    ]
    return b'{"results": ' + _list(rows) + b"}"


def regression_json(result: RegressionResult) -> bytes:
    """The answer to :regress: a list with a number for every example.

    Raises:
        RequestError: INVALID_ARGUMENT, there is no example in it.
    """
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return b'{"results": ' + _list(_number_tokens([entry.value for entry in result.regressions])) + b"}"


def status_json(response: GetModelStatusResponse) -> bytes:
    """The answer to a request for a model's status."""
    return json_format.MessageToJson(response, indent=1, always_print_fields_with_no_presence=True).encode()


def metadata_json(response: GetModelMetadataResponse) -> bytes:
    """The answer to a request for a model's metadata: its signatures."""
    answer = {
        "model_spec": _message_dict(response.model_spec),
        "metadata": {SIGNATURE_DEF: _message_dict(signature_defs(response))},
    }
    return json.dumps(answer, indent=1).encode()


def signature_defs(response: GetModelMetadataResponse) -> SignatureDefMap:
    """The signatures in a model's metadata.

    Raises:
        RequestError: INTERNAL, there are none in it.
    """
    signatures = SignatureDefMap()
    if SIGNATURE_DEF not in response.metadata or not response.metadata[SIGNATURE_DEF].Unpack(signatures):
        raise RequestError(
            grpc.StatusCode.INTERNAL, "Failed to find 'signature_def' key in the GetModelMetadataResponse metadata map."
        )
    return signatures


def error_json(message: str) -> bytes:
    """The answer to a request that failed."""
    # The words may quote a name that is half a character.
    return b'{"error": ' + orjson.dumps(message.encode(errors="backslashreplace").decode()) + b"}"


def _array(name: str, proto: TensorProto) -> NDArray[Any]:
    dtype = dtype_name(proto.dtype)
    if dtype != "string" and dtype not in JSON_TYPES_OF_DTYPE:
        raise invalid(f"Failed to write JSON value for tensor type: {dtype_in_words(dtype)}")
    array: NDArray[Any] = tf.make_ndarray(proto)
    return array


def _rows_json(arrays: dict[str, NDArray[Any]]) -> bytes:
    batch_size = None
    for name, array in arrays.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if batch_size not in (None, len(array)):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch_size}")
        batch_size = len(array)
    if len(arrays) == 1:
        return _only(arrays)
    return _list(
        _object({name: _array_json(name, array[row]) for name, array in arrays.items()})
        for row in range(batch_size or 0)
    )


def _only(arrays: dict[str, NDArray[Any]]) -> bytes:
    ((name, array),) = arrays.items()
    return _array_json(name, array)


def _array_json(name: str, array: Any) -> bytes:
    if isinstance(array, bytes) or array.dtype == object:
        return _strings_json(array, as_base64=name.endswith(_BYTES_SUFFIX))
    text = orjson.dumps(array if array.shape else array[()], option=orjson.OPT_SERIALIZE_NUMPY)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return text
    # orjson writes null for these, and nothing else in numbers reads null.
    odd = np.ravel(array)[~np.isfinite(np.ravel(array))].tolist()
    pieces = text.split(b"null")
    return b"".join(chain.from_iterable(zip(pieces, [*map(_odd_token, odd), b""], strict=True)))


def _odd_token(number: float) -> bytes:
    return b"NaN" if np.isnan(number) else b"Infinity" if number > 0 else b"-Infinity"


def _number_tokens(numbers: list[float]) -> list[bytes]:
    text = _array_json("", np.array(numbers, np.float32))
    return text[1:-1].split(b",") if numbers else []


def _strings_json(array: NDArray[Any] | bytes, *, as_base64: bool) -> bytes:
    array = np.asarray(array, object)
    shown = np.empty(array.size, object)
    if as_base64:
        shown[:] = [{BASE64_KEY: base64.b64encode(value).decode()} for value in array.ravel().tolist()]
    else:
        # Text that is not UTF-8 goes out as it is: a name that ends in _bytes is the model's way to say base64.
        shown[:] = [value.decode(errors="surrogateescape") for value in array.ravel().tolist()]
    return _dumps(shown.reshape(array.shape).tolist())


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape")


def _list(items: Iterable[bytes]) -> bytes:
    return b"[" + b", ".join(items) + b"]"


def _object(items: Mapping[str, bytes]) -> bytes:
    return b"{" + b", ".join(_dumps(name) + b": " + value for name, value in items.items()) + b"}"


def _message_dict(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
