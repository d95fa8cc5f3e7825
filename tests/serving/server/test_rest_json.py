"""JSON to tensors and back, by the dtypes of a signature."""

import base64
import contextlib
import gc
import json
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from serving.server.errors import RequestError


@pytest.fixture(scope="module")
def rest_json():
    """All that reads and writes the JSON; imported late, because it brings TensorFlow."""
    from serving.server import rest_answers, rest_requests

    return SimpleNamespace(
        **vars(rest_requests), **{k: v for k, v in vars(rest_answers).items() if k not in vars(rest_requests)}
    )


def written_array(rest_json, array):
    import tensorflow as tf

    answer = rest_json.predict_json({"x": tf.make_tensor_proto(array)}, in_rows=False)
    assert answer.startswith(b'{"outputs": ')
    return answer.removeprefix(b'{"outputs": ')[:-1]


def infos(**dtypes):
    import tensorflow as tf
    from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo

    return {name: TensorInfo(dtype=tf.as_dtype(dtype).as_datatype_enum) for name, dtype in dtypes.items()}


def arrays(rest_json, body, **dtypes):
    import tensorflow as tf

    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = rest_json.predict_inputs(rest_json.parse_body(body), infos(**dtypes))
    return {name: tf.make_ndarray(proto) for name, proto in made.inputs.items()}


def refused(rest_json, body, **dtypes):
    with pytest.raises(RequestError) as caught:
        arrays(rest_json, body, **dtypes)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    return caught.value.message


def answer(rest_json, in_rows=True, **outputs):
    import tensorflow as tf

    protos = {name: tf.make_tensor_proto(value) for name, value in outputs.items()}
    return json.loads(rest_json.predict_json(protos, in_rows=in_rows))


NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64"]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_the_extremes_of_every_number_survive_both_ways(rest_json, dtype):
    bounds = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    extremes = np.array([[bounds.min, 0], [1, bounds.max]], dtype)
    written = written_array(rest_json, extremes)
    read = arrays(rest_json, b'{"inputs": ' + written + b"}", x=dtype)["x"]
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, extremes)


def test_every_float32_is_written_so_that_it_reads_back_exactly(rest_json):
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    floats = bits.view(np.float32)
    written = written_array(rest_json, floats)
    read = arrays(rest_json, b'{"instances": ' + written + b"}", x="float32")["x"]
    np.testing.assert_array_equal(read, floats)  # NaN equals NaN here
    assert written_array(rest_json, np.float32(0.2)[None]) == b"[0.2]"


@pytest.mark.parametrize(
    ("dtype", "value", "words"),
    [
        ("float32", True, "JSON Value: true Type: True is not of expected type: float"),
        ("float32", "1", 'JSON Value: "1" Type: String is not of expected type: float'),
        ("float32", None, "JSON Value: null Type: Null is not of expected type: float"),
        ("float32", {"a": 1}, "Type: Object is not of expected type: float"),
        ("int32", 1.0, "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int32", 2**31, "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ("uint8", 2**31, "JSON Value: 2147483648 Type: Number is not of expected type: uint8"),
        ("uint32", -1, "is not of expected type: uint32"),
        ("int64", 2**63, "is not of expected type: int64"),
        ("uint64", -1, "is not of expected type: uint64"),
        ("uint64", 2**64, "is not of expected type: uint64"),
        ("bool", 1, "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("string", 1, "JSON Value: 1 Type: Number is not of expected type: string"),
        ("string", {"b64": 1}, "not formatted correctly for base64 data"),
        ("string", {"b64": "ä"}, "Unable to base64 decode"),
        ("string", {"b64": "abcde"}, "Unable to base64 decode"),
    ],
)
def test_a_value_that_its_dtype_cannot_hold_is_named(rest_json, dtype, value, words):
    assert words in refused(rest_json, {"inputs": [value]}, x=dtype)
    good = {"bool": False, "string": ""}.get(dtype, 0)
    in_row = refused(rest_json, {"instances": [{"x": [good, good]}, {"x": [good, value]}]}, x=dtype)
    assert in_row.startswith("Failed to process element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: ")
    assert words in in_row


@pytest.mark.parametrize(
    ("dtype", "value", "taken"),
    [
        ("float32", 2**24 + 1, 2.0**24),
        ("float32", 1e39, np.inf),
        ("float32", -1e39, -np.inf),
        ("float32", 2**64, 2.0**64),
        ("float64", 2**53 + 1, 2.0**53),
        ("uint8", 300, 44),
        ("uint8", -1, 255),
        ("int8", 200, -56),
        ("int16", 2**16 + 7, 7),
    ],
)
def test_a_number_beyond_its_dtype_is_rounded_or_wraps_around(rest_json, dtype, value, taken):
    read = arrays(rest_json, {"inputs": [value]}, x=dtype)["x"]
    assert (read.dtype, read.tolist()) == (dtype, [taken])


def test_what_rapidjson_takes_beyond_the_standard_is_taken(rest_json):
    def read(body):
        return arrays(rest_json, body, x="float32")["x"].tolist()

    assert read(b'\xef\xbb\xbf {"inputs": [1, 2]}') == [1, 2]
    assert read(b'{"inputs": [1, 2]} and more') == [1, 2]
    assert read(b'{"inputs": [Inf, -Inf, Infinity, -Infinity]}') == [np.inf, -np.inf] * 2
    assert read(b'{"inputs": [1], "inputs": [2]}') == [1]
    assert arrays(rest_json, b'{"inputs": ["Inf \\" Inf", "NaN"], "n": Inf}', x="string")["x"].tolist() == [
        b'Inf " Inf',
        b"NaN",
    ]


def test_a_value_in_an_error_is_written_and_cut_as_rapidjson_writes_it(rest_json):
    message = refused(rest_json, {"a": [1, [2.5, None]], "b": {"c": True, "d": {}}}, x="float32")
    assert message == "Missing 'inputs' or 'instances' key"
    message = refused(rest_json, {"instances": {"a": [1, [2.5, None]], "b": {"c": True, "d": {}}}}, x="float32")
    written = """{
    "instances": {
        "a": [1, [2.5, null]],
        "b": {
            "c": true,
            "d": {}
        }
    }
}"""
    assert message == f"JSON Value: {written} Expecting 'instances' to be an list/array"
    message = refused(rest_json, {"instances": {"a": [1000] * 10_000}}, x="float32")
    assert message.startswith('JSON Value: {\n    "instances": {\n        "a": [1000, 1000')
    assert message.endswith("1000, 1000 Expecting 'instances' to be an list/array")
    assert 256 <= len(message.removeprefix("JSON Value: ").partition(" Expecting")[0]) < 256 + len(", 1000")


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        ([[1, 2], [3, 4], [5, 6, 7]], "element: 2 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: "
         "2 but got: 3"),
        ([[1, 2], [3, 4], [[5, 6]]], "Expecting shape [2] but got: [1,2]"),
        ([1, [1]], "Expecting shape [] but got: [1]"),
        ([[[1, 2], [3]]], "element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected "
         "size: 1 at level: 1 expected size: 2"),
        ([[1, [2]]], "Encountered list at unexpected level: 1 expected < 1"),
        ([[[1], 2]], "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ([[], [1]], "Expecting tensor size: 0 but got: 1"),
    ],
)  # fmt: skip
def test_ragged_instances_are_refused_with_the_place(rest_json, instances, words):
    assert words in refused(rest_json, {"instances": instances}, x="int32")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"instances": [1], "inputs": [1]}, "expecting only one of 'inputs' or 'instances' keys to exist"),
        ({"signature": "x"}, "Missing 'inputs' or 'instances' key"),
        ({"instances": 1}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"inputs": [1]}, "inputs is a plain value/list, but expecting an object"),
        ({"inputs": {"x": [1]}}, "Missing named input: y in 'inputs' object."),
        ({"instances": [{"x": 1, "y": 2}, 3]}, "Expecting object but got list at item 1 of input list"),
        ({"instances": [{"x": 1, "z": 2}]}, "JSON object: does not have named input: z"),
        ({"instances": [{"x": 1}]}, "keys must be equal to: x,y"),
    ],
)
def test_a_body_that_does_not_fit_two_inputs_is_refused(rest_json, body, words):
    assert words in refused(rest_json, body, x="float32", y="float32")


def test_a_list_of_values_and_objects_is_refused(rest_json):
    message = refused(rest_json, {"instances": [1, {"x": 2}]}, x="float32")
    assert "Expecting value/list but got object at item 1 of input list" in message


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b"nonsense", b'{"instances": [1,]}', b'{"instances": [Nan]}', b"[" * 100_000, b"\xff\xfe",
     b'{"inputs": [NaN, ' + b"[" * 5000 + b"]" * 5000 + b"]}", b'{"inputs": ' + b"[" * 300 + b"]" * 300 + b"}",
     b'{"inputs": ["\\ud800"]}', b'{"instances": [{"\\ud800": NaN}]}',
     b'{"signature_name": 5}', b'{"inputs": [1e999999]}', b"[" + b"1" * 5000 + b", NaN]"],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused_and_its_words_stay_short(rest_json, body):
    def read():
        parsed = rest_json.parse_body(body)
        rest_json.signature_name(parsed)
        rest_json.predict_inputs(parsed, infos(x="string"))

    with pytest.raises(RequestError) as caught:
        read()
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert len(caught.value.message) < 1000
    assert json.loads(rest_json.error_json(caught.value.message))["error"]


@pytest.mark.parametrize("body", [b"{}", b"nonsense"])
def test_reading_leaves_the_garbage_collector_as_it_was(rest_json, body):
    for collects in (False, True):
        (gc.enable if collects else gc.disable)()
        with contextlib.suppress(RequestError):
            rest_json.parse_body(body)
        assert gc.isenabled() is collects


def test_numbers_that_json_does_not_know_are_read_and_written(rest_json):
    read = arrays(rest_json, b'{"inputs": [NaN, Infinity, -Infinity, 1.5, 123456789012345678901234]}', x="float64")["x"]
    np.testing.assert_array_equal(read, [np.nan, np.inf, -np.inf, 1.5, 1.2345678901234568e23])
    written = written_array(rest_json, np.array([[np.nan, 1.0], [np.inf, -np.inf]], np.float32))
    assert written == b"[[NaN,1.0],[Infinity,-Infinity]]"
    assert written_array(rest_json, np.float32(np.nan)) == b"NaN"


@pytest.mark.parametrize("text", ["aGVsbG8=", "aGVsbG8", " aGVs\nbG8= "])
def test_base64_is_read_with_and_without_padding(rest_json, text):
    assert arrays(rest_json, {"instances": [{"b64": text}]}, x="string")["x"].tolist() == [b"hello"]


def test_bytes_and_text_go_through_as_they_are(rest_json):
    raw = bytes(range(256))
    body = {"inputs": [{"b64": base64.b64encode(raw).decode()}, "höhe"]}
    assert arrays(rest_json, body, x="string")["x"].tolist() == [raw, "höhe".encode()]
    assert arrays(rest_json, b'{"inputs": ["\xff"]}', x="string")["x"].tolist() == [b"\xff"]
    assert answer(rest_json, raw_bytes=[raw]) == {"predictions": [{"b64": base64.b64encode(raw).decode()}]}
    assert answer(rest_json, text=["höhe"]) == {"predictions": ["höhe"]}


def test_text_that_is_not_utf8_is_written_as_it_is(rest_json):
    import tensorflow as tf

    written = rest_json.predict_json({"text": tf.make_tensor_proto([b'"\xff'])}, in_rows=True)
    assert written == b'{"predictions": ["\\"\xff"]}'


def test_rows_of_which_there_are_none_are_an_empty_list(rest_json):
    none = np.zeros((0, 2), np.float32)
    assert answer(rest_json, x=none) == answer(rest_json, x=none, y=none) == {"predictions": []}


def test_one_output_stands_alone_and_several_by_their_names(rest_json):
    x, y = np.array([[1, 2], [3, 4]], np.int32), np.array([0.5, np.nan], np.float32)
    assert answer(rest_json, x=x) == {"predictions": [[1, 2], [3, 4]]}
    assert answer(rest_json, in_rows=False, x=x) == {"outputs": [[1, 2], [3, 4]]}
    rows = answer(rest_json, x=x, y=y)["predictions"]
    assert rows[0] == {"x": [1, 2], "y": 0.5}
    assert np.isnan(rows[1]["y"])
    assert answer(rest_json, in_rows=False, x=x, flag=True) == {"outputs": {"flag": True, "x": [[1, 2], [3, 4]]}}
    assert answer(rest_json, in_rows=False, x=np.float32(0.2)) == {"outputs": 0.2}


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"x": np.float32(1)}, "Tensor name: x has no shape information "),
        ({"x": [1], "y": [1, 2]}, "Tensor name: y has inconsistent batch size: 2 expecting: 1"),
        ({"x": np.float16([1])}, "Failed to write JSON value for tensor type: half"),
        ({}, "Cannot convert empty tensor map to JSON"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(rest_json, outputs, words):
    with pytest.raises(RequestError) as caught:
        answer(rest_json, **outputs)
    assert words in caught.value.message


def test_a_dtype_that_json_does_not_carry_is_unimplemented(rest_json):
    with pytest.raises(RequestError) as caught:
        arrays(rest_json, {"inputs": [1]}, x="float16")
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert "to type: half" in caught.value.message


def test_features_take_their_kind_from_their_values(rest_json):
    made = rest_json.examples_input(
        {"context": {"f": 1.5}, "examples": [{"i": [1, True], "s": ["a", {"b64": "/w=="}], "none": []}]}
    )
    feature = made.example_list_with_context.examples[0].features.feature
    assert list(feature["i"].int64_list.value) == [1, 1]
    assert list(feature["s"].bytes_list.value) == [b"a", b"\xff"]
    assert feature["none"].WhichOneof("kind") is None
    assert made.example_list_with_context.context.features.feature["f"].float_list.value[0] == 1.5


@pytest.mark.parametrize(
    ("parsed", "words"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": [1, 1.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": [2**63]}]}, "Feature: x has uint64_t element. Only int64_t is supported."),
    ],
)
def test_features_that_make_no_example_are_refused(rest_json, parsed, words):
    with pytest.raises(RequestError) as caught:
        rest_json.examples_input(parsed)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.message
