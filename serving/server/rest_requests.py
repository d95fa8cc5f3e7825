"""The JSON of a REST request to TensorFlow Serving's messages, by the dtypes of a model's signature.

Rows (`instances`) and columns (`inputs`), base64 objects, tf.train.Examples, and the words of the errors are TensorFlow
Serving's. orjson reads; where it stops, at NaN, infinities, text that is not UTF-8 or comes after the object, Python's
own json goes on, because TensorFlow Serving takes those. Imports TensorFlow, through the messages.
"""

import base64
import binascii
import gc
import json
import math
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import grpc
import numpy as np
import orjson
from numpy.typing import NDArray
from tensorflow.core.example.example_pb2 import Example
from tensorflow.core.example.feature_pb2 import Feature
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo
from tensorflow_serving.apis.input_pb2 import Input

from serving.server.errors import RequestError, invalid, listed_sizes
from serving.server.rest_types import BASE64_KEY, CARRIER_OF_DTYPE, FLOATS, JSON_TYPES_OF_DTYPE
from serving.server.tensor_messages import dtype_in_words, dtype_name

_MAX_SHOWN_CHARACTERS = 256  # of a value that an error quotes, as in TensorFlow Serving
_MAX_RANK = 254  # of a tensor in TensorFlow
_INDENT = 4 * " "
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_KEYS = (b'"signature_name"', b'"instances"', b'"inputs"', b'"context"', b'"examples"')
_STRING_OR_INF = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|Inf(?:inity)?')


class PredictBody(NamedTuple):
    """What the body of a :predict request says.

    Attributes:
        inputs: one tensor for every input it gives.
        in_rows: whether it was in rows (`instances`), as the answer then is.
    """

    inputs: dict[str, TensorProto]
    in_rows: bool


class _Irregular(Exception):  # noqa: N818
    """What is wrong with one of several values that shall become one tensor.

    Attributes:
        index: the value's place.
        error: the answer to the request.
    """

    def __init__(self, index: int, error: RequestError):
        super().__init__(index, error)
        self.index = index
        self.error = error


def parse_body(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body; text in it that is not UTF-8 becomes surrogate escapes.

    Raises:
        RequestError: INVALID_ARGUMENT, the body is no JSON object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        # Of a key that is there twice the first counts; orjson keeps the last.
        parsed = _parse_beyond_the_standard(body) if any(body.count(key) > 1 for key in _KEYS) else _loads(body)
    except orjson.JSONDecodeError:
        parsed = _parse_beyond_the_standard(body)
    if not isinstance(parsed, dict):
        raise invalid(f"JSON Value: {_shown(parsed)} Is not object")
    return parsed


def signature_name(parsed: Mapping[str, Any]) -> str:
    """The signature that a parsed body asks for, "" for the default.

    Raises:
        RequestError: INVALID_ARGUMENT, the name is no string.
    """
    name = parsed.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {_shown(parsed)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return _text(name)


def predict_inputs(parsed: Mapping[str, Any], signature: Mapping[str, TensorInfo]) -> PredictBody:
    """The tensors in the body of a :predict request, by the inputs of its signature.

    Numbers go into `tensor_content`, strings into `string_val`.

    Raises:
        RequestError: INVALID_ARGUMENT for a body that does not fit the signature, or values that make no tensor;
            UNIMPLEMENTED for a dtype that JSON cannot carry.
    """
    if "instances" in parsed and "inputs" in parsed:
        raise invalid(
            f"JSON Value: {_shown(parsed)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if "instances" in parsed:
        rows = parsed["instances"]
        if not isinstance(rows, list):
            raise invalid(f"JSON Value: {_shown(parsed)} Expecting 'instances' to be an list/array")
        if not rows:
            raise invalid(f"JSON Value: {_shown(parsed)} No values in 'instances' array")
        return PredictBody(_inputs_of_rows(rows, signature), in_rows=True)
    if "inputs" in parsed:
        return PredictBody(_inputs_of_columns(parsed["inputs"], signature), in_rows=False)
    raise invalid("Missing 'inputs' or 'instances' key")


def examples_input(parsed: Mapping[str, Any]) -> Input:
    """The tf.train.Examples in the body of a :classify or :regress request, with their context if it has one.

    Raises:
        RequestError: INVALID_ARGUMENT for a body without examples, or features that make no Example.
    """
    examples = Input()
    target = examples.example_list
    if "context" in parsed:
        target = examples.example_list_with_context
        target.context.CopyFrom(_example(parsed["context"]))
    if "examples" not in parsed:
        raise invalid(
            f"JSON Value: {_shown(parsed)} When method is classify, key 'examples' is expected and was not found"
        )
    if not isinstance(parsed["examples"], list):
        raise invalid(f"JSON Value: {_shown(parsed)} Expecting 'examples' value to be an list/array")
    if not parsed["examples"]:
        raise invalid(f"JSON Value: {_shown(parsed)} 'examples' value is an empty array")
    target.examples.extend(_example(value) for value in parsed["examples"])
    return examples


def _loads(body: bytes) -> Any:
    # Every few hundred lists would start the collector, which then walks through TensorFlow's and the request's objects
    # and finds nothing: a square of 512 pixels took ten times as long. No other thread runs in between, orjson holds
    # the interpreter's lock.
    collects = gc.isenabled()
    gc.disable()
    try:
        return orjson.loads(body)
    finally:
        if collects:
            gc.enable()


def _parse_beyond_the_standard(body: bytes) -> Any:
    """Parse what RapidJSON takes as TensorFlow Serving uses it: NaN, Inf, and anything after the first value."""
    text = body.decode(errors="surrogateescape").lstrip(" \t\n\r")
    if "Inf" in text:
        text = _STRING_OR_INF.sub(lambda found: found[0] if found[0][0] == '"' else "Infinity", text)
    try:
        parsed, _ = _decoder.raw_decode(text)
    except ValueError as error:
        message = getattr(error, "msg", str(error))
        raise invalid(f"JSON Parse error: {message} at offset: {getattr(error, 'pos', 0)}") from error
    except RecursionError as error:
        raise invalid("JSON Parse error: nested too deeply at offset: 0") from error
    return parsed


def _integer(digits: str) -> int | float:
    # Beyond 64 bits a JSON integer is a double, to orjson as to TensorFlow Serving.
    number = int(digits) if len(digits) <= 20 else _decimal(digits)
    return number if -(2**63) <= number < 2**64 else float(number)


def _decimal(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("Number too big to be stored in double.")
    return number


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    first: dict[str, Any] = {}
    for key, value in pairs:
        first.setdefault(key, value)
    return first


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_decimal, object_pairs_hook=_first_of_each)


def _inputs_of_rows(rows: list[Any], signature: Mapping[str, TensorInfo]) -> dict[str, TensorProto]:
    if not isinstance(rows[0], dict) and len(signature) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if not _is_object(rows[0]):
        for index, row in enumerate(rows):
            if _is_object(row):
                raise invalid(f"Expecting value/list but got object at item {index} of input list")
        name = min(signature)
        try:
            return {name: _tensor(rows, signature[name])}
        except _Irregular as irregular:
            raise _of_instance(irregular) from irregular
    for index, row in enumerate(rows):
        if not _is_object(row):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for key in row:
            if key not in signature:
                unknown = invalid(f"JSON object: does not have named input: {key}")
                raise _of_instance(_Irregular(index, unknown), key)
        if len(row) != len(signature):
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {_shown(row)} "
                f"keys must be equal to: {','.join(sorted(signature))}"
            )
    inputs = {}
    for name, info in signature.items():
        try:
            inputs[name] = _tensor([row[name] for row in rows], info)
        except _Irregular as irregular:
            raise _of_instance(irregular, name) from irregular
    return inputs


def _of_instance(irregular: _Irregular, key: str | None = None) -> RequestError:
    where = f"{irregular.index}" if key is None else f"{irregular.index} key: {key}"
    cause = irregular.error
    # TensorFlow Serving gives the element's status within the words of an INVALID_ARGUMENT.
    return invalid(f"Failed to process element: {where} of 'instances' list. Error: {cause.code.name}: {cause.message}")


def _inputs_of_columns(columns: Any, signature: Mapping[str, TensorInfo]) -> dict[str, TensorProto]:
    if not _is_object(columns):
        if len(signature) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        columns = dict.fromkeys(signature, columns)
    inputs = {}
    for name, info in signature.items():
        if name not in columns:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        try:
            tensor = _tensor([columns[name]], info)
        except _Irregular as irregular:
            raise irregular.error from irregular
        del tensor.tensor_shape.dim[0]
        inputs[name] = tensor
    return inputs


def _tensor(values: list[Any], info: TensorInfo) -> TensorProto:
    """Stack `values`, which must be nested lists of one shape, along a new first axis."""
    dtype = dtype_name(info.dtype)
    leaves: list[Any] = values
    shape = [len(values)]
    # A level at a time, in loops that run in C: a recursion over the values takes ten times as long.
    while leaves and list in (kinds := set(map(type, leaves))):
        lengths = set(map(len, leaves)) if kinds == {list} else set()
        if len(lengths) != 1 or len(shape) > _MAX_RANK:
            raise _first_irregular(values)
        shape.append(lengths.pop())
        leaves = list(chain.from_iterable(leaves))
    proto = TensorProto(dtype=info.dtype)
    for size in shape:
        proto.tensor_shape.dim.add().size = size
    size_of_value = max(1, len(leaves) // len(values))
    if dtype == "string":
        proto.string_val.extend(_bytes(leaf, index // size_of_value) for index, leaf in enumerate(leaves))
    else:
        proto.tensor_content = _numbers(leaves, dtype, size_of_value).tobytes()
    return proto


def _first_irregular(values: list[Any]) -> _Irregular:
    """The error of the first value that is ragged, or shaped otherwise than the first of all."""
    first_shape: list[int] = []
    for index, value in enumerate(values):
        shape: list[int] = []
        probe = value
        while isinstance(probe, list):
            shape.append(len(probe))
            probe = probe[0] if probe else None
        if len(shape) >= _MAX_RANK:
            return _Irregular(index, invalid(f"a tensor has at most {_MAX_RANK} dimensions"))
        message = _raggedness(value, 0, shape)
        if index == 0:
            first_shape = shape
        elif message is None and shape != first_shape:
            size, first_size = int(np.prod(shape)), int(np.prod(first_shape))
            message = (
                f"Expecting tensor size: {first_size} but got: {size}"
                if size != first_size
                else f"Expecting shape {listed_sizes(first_shape)} but got: {listed_sizes(shape)}"
            )
        if message is not None:
            return _Irregular(index, invalid(message))
    raise AssertionError("the values are of one shape")


def _raggedness(value: Any, level: int, shape: list[int]) -> str | None:
    if not isinstance(value, list):
        if level == len(shape):
            return None
        return (
            f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if level >= len(shape):
        return f"Encountered list at unexpected level: {level} expected < {len(shape)}"
    if len(value) != shape[level]:
        return f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
    return next(filter(None, (_raggedness(child, level + 1, shape) for child in value)), None)


def _numbers(leaves: list[Any], dtype: str, size_of_value: int) -> NDArray[Any]:
    if dtype not in JSON_TYPES_OF_DTYPE:
        words = f"Conversion of JSON Value: {_shown(leaves[:1])} to type: {dtype_in_words(dtype)}"
        raise _Irregular(0, RequestError(grpc.StatusCode.UNIMPLEMENTED, words))
    allowed = JSON_TYPES_OF_DTYPE[dtype]
    if not set(map(type, leaves)) <= allowed:
        index, leaf = next((index, leaf) for index, leaf in enumerate(leaves) if type(leaf) not in allowed)
        raise _Irregular(index // size_of_value, _type_error(leaf, dtype))
    if dtype in FLOATS:
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            return np.array(leaves, np.float64).astype(dtype)
    carrier = CARRIER_OF_DTYPE.get(dtype, dtype)
    try:
        return np.array(leaves, carrier).astype(dtype, copy=False)
    except OverflowError:
        bounds = np.iinfo(carrier)
        index, leaf = next((i, leaf) for i, leaf in enumerate(leaves) if not bounds.min <= leaf <= bounds.max)
        raise _Irregular(index // size_of_value, _type_error(leaf, dtype)) from None


def _bytes(leaf: Any, index: int) -> bytes:
    if isinstance(leaf, str):
        return _text_bytes(leaf)
    if not isinstance(leaf, dict):
        raise _Irregular(index, _type_error(leaf, "string"))
    if not _is_base64(leaf):
        raise _Irregular(index, invalid(f"JSON Value: {_shown(leaf)} not formatted correctly for base64 data"))
    try:
        return _base64_bytes(leaf[BASE64_KEY])
    except RequestError as error:
        raise _Irregular(index, error) from error


def _base64_bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    # White space may stand in it and the padding may be missing; anything else that is odd is an error.
    text = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise invalid("Unable to base64 decode") from error


def _example(value: Any) -> Example:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {_json_type(value)}")
    example = Example()
    for name, content in value.items():
        example.features.feature[_text(name)].CopyFrom(
            _feature(name, content if isinstance(content, list) else [content])
        )
    return example


def _feature(name: str, values: list[Any]) -> Feature:
    feature = Feature()
    for value in values:
        entry: bytes | float | int
        if isinstance(value, str):
            kind, entry = "bytes_list", _text_bytes(value)
        elif _is_base64(value):
            kind, entry = "bytes_list", _base64_bytes(value[BASE64_KEY])
        elif isinstance(value, float):
            with np.errstate(over="ignore"):
                kind, entry = "float_list", float(np.float32(value))
        elif isinstance(value, int):
            kind, entry = "int64_list", int(value)
            if value >= 2**63:
                raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        else:
            raise invalid(f"Feature: {name} has element with unexpected JSON type: {_json_type(value)}")
        present = feature.WhichOneof("kind")
        if present not in (None, kind):
            raise invalid(f"Unexpected element type in feature: {name} expecting type: {present.removesuffix('_list')}")
        getattr(feature, kind).value.append(entry)
    return feature


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(BASE64_KEY), str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _text_bytes(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from error


def _text(text: str) -> str:
    """`text`, which is to be a string field of a message."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid(f"the name {text!a} is not UTF-8")
    return text


def _type_error(value: Any, dtype: str) -> RequestError:
    return invalid(
        f"JSON Value: {_shown(value)} Type: {_json_type(value)} is not of expected type: {dtype_in_words(dtype)}"
    )


def _json_type(value: Any) -> str:
    if value is None:
        return "Null"
    names: dict[type, str] = {bool: str(value), dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _shown(value: Any) -> str:
    """`value` as JSON in RapidJSON's pretty form, cut where it grows long: it may be the whole request."""
    shown: list[str] = []
    size = 0
    for piece in _pieces(value, 0):
        if size >= _MAX_SHOWN_CHARACTERS:
            break
        shown.append(piece)
        size += len(piece)
    return "".join(shown)


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """`value` as JSON, arrays on one line and the members of objects on lines of their own, piece by piece."""
    if isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield from _after(", " if index else "", _pieces(item, depth + 1))
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        indent = "\n" + (depth + 1) * _INDENT
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else ''}{indent}{_scalar(key)}"
            yield from _after(": ", _pieces(item, depth + 1))
        yield f"\n{depth * _INDENT}}}" if value else "}"
    else:
        yield _scalar(value)


def _after(prefix: str, pieces: Iterator[str]) -> Iterator[str]:
    yield prefix + next(pieces)
    yield from pieces


def _scalar(value: Any) -> str:
    # TensorFlow Serving quotes even the longest string whole.
    return json.dumps(value[:_MAX_SHOWN_CHARACTERS] if isinstance(value, str) else value, ensure_ascii=False)
