import subprocess
import sys

import numpy as np
import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.client import wire

NUMBERS = [np.float32, np.float64, np.int32, np.uint8, np.int16, np.int8, np.int64, np.bool_, np.uint16, np.float16]
NUMBERS += [np.uint32, np.uint64]

numeric_arrays = st.sampled_from(NUMBERS).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))
)
string_arrays = hnp.arrays(object, hnp.array_shapes(min_dims=0, min_side=0), elements=st.binary())
arrays = numeric_arrays | string_arrays


@pytest.fixture(scope="module")
def serving_api():
    """TensorFlow Serving's own generated messages."""
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_management_pb2,
        predict_pb2,
    )

    class Api:
        predict, metadata, status = predict_pb2, get_model_metadata_pb2, get_model_status_pb2
        management = model_management_pb2

    return Api


def calls(serving_api) -> list[tuple]:
    """Every message that is sent or received as a whole: ours, and TensorFlow Serving's."""
    return [
        (wire.PredictRequest, serving_api.predict.PredictRequest),
        (wire.PredictResponse, serving_api.predict.PredictResponse),
        (wire.SignatureDefMap, serving_api.metadata.SignatureDefMap),
        (wire.GetModelMetadataRequest, serving_api.metadata.GetModelMetadataRequest),
        (wire.GetModelMetadataResponse, serving_api.metadata.GetModelMetadataResponse),
        (wire.GetModelStatusRequest, serving_api.status.GetModelStatusRequest),
        (wire.GetModelStatusResponse, serving_api.status.GetModelStatusResponse),
        (wire.ReloadConfigRequest, serving_api.management.ReloadConfigRequest),
        (wire.ReloadConfigResponse, serving_api.management.ReloadConfigResponse),
    ]


def fill(message, draw) -> None:
    """Give a message any content its descriptor allows."""
    scalars = {
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
        FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
        FieldDescriptor.TYPE_FLOAT: st.floats(allow_nan=False, width=32),
        FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        FieldDescriptor.TYPE_STRING: st.text(max_size=20),
        FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
        FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    }
    for field in message.DESCRIPTOR.fields:
        values = (
            st.sampled_from([value.number for value in field.enum_type.values])
            if field.enum_type
            else scalars.get(field.type)
        )
        for _ in range(draw(st.integers(0, 2 if field.is_repeated else 1))):
            if field.message_type and field.message_type.GetOptions().map_entry:
                entries, key = getattr(message, field.name), draw(st.text(max_size=8))
                if (value := field.message_type.fields_by_name["value"]).message_type:
                    fill(entries[key], draw)
                else:
                    entries[key] = draw(scalars[value.type])
            elif field.message_type:
                part = getattr(message, field.name)
                fill(part.add() if field.is_repeated else part, draw)
                if not field.is_repeated:
                    part.SetInParent()
            elif field.is_repeated:
                getattr(message, field.name).append(draw(values))
            else:
                setattr(message, field.name, draw(values))


@given(arrays)
def test_an_array_survives_the_way_there_and_back(array):
    received = wire.array_from_tensor(wire.TensorProto.FromString(wire.tensor_from_array(array).SerializeToString()))
    assert received.dtype == array.dtype
    np.testing.assert_array_equal(received, array)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays, st.text(), st.text(), st.integers(0, 2**63 - 1) | st.text(), st.lists(st.text()))
def test_requests_and_responses_are_tensorflow_servings_byte_for_byte(
    serving_api, array, name, signature, version, wanted
):
    for ours, theirs, field in (
        (wire.PredictRequest(), serving_api.predict.PredictRequest(), "inputs"),
        (wire.PredictResponse(), serving_api.predict.PredictResponse(), "outputs"),
    ):
        tensor = wire.tensor_from_array(array)
        getattr(ours, field)["L"].CopyFrom(tensor)
        getattr(theirs, field)["L"].ParseFromString(tensor.SerializeToString())
        for message in (ours, theirs):
            message.model_spec.name, message.model_spec.signature_name = name, signature
            if isinstance(version, int):
                message.model_spec.version.value = version
            else:
                message.model_spec.version_label = version
            if field == "inputs":
                message.output_filter.extend(wanted)
        assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
        assert type(ours).FromString(theirs.SerializeToString()) == ours
        assert type(theirs).FromString(ours.SerializeToString()) == theirs


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_message_is_tensorflow_servings_byte_for_byte_whatever_it_holds(serving_api, data):
    ours_type, theirs_type = data.draw(st.sampled_from(calls(serving_api)))
    ours = ours_type()
    fill(ours, data.draw)
    sent = ours.SerializeToString(deterministic=True)
    theirs = theirs_type.FromString(sent)
    theirs.DiscardUnknownFields()
    assert theirs.SerializeToString(deterministic=True) == sent
    assert ours_type.FromString(theirs.SerializeToString()) == ours


def test_a_config_file_is_read_and_written_as_tensorflow_servings(serving_api):
    written = """
model_config_list {
  config {
    name: "colorizer"
    base_path: "/models/colorizer"
    model_platform: "tensorflow"
    logging_config { sampling_config { sampling_rate: 0.5 attributes: 1 } }
    model_version_policy { specific { versions: 3 versions: 4 } }
    version_labels { key: "stable" value: 3 }
    version_labels { key: "canary" value: 4 }
  }
}"""
    ours = text_format.Parse(written, wire.ModelServerConfig())
    theirs = text_format.Parse(written, serving_api.management.ReloadConfigRequest().config)
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
    assert dict(ours.model_config_list.config[0].version_labels) == {"stable": 3, "canary": 4}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays)
def test_tensorflow_reads_our_tensors_and_we_read_its(serving_api, array):
    import tensorflow as tf

    theirs = tf.make_tensor_proto(
        array.tolist() if array.dtype == object else array, dtype=tf.as_dtype(array.dtype), shape=array.shape
    )
    np.testing.assert_array_equal(
        wire.array_from_tensor(wire.TensorProto.FromString(theirs.SerializeToString())), array
    )
    ours = type(theirs).FromString(wire.tensor_from_array(array).SerializeToString())
    read = tf.make_ndarray(ours)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_every_declared_field_has_tensorflow_servings_number_and_type(serving_api):
    """Compare the tables of `wire` with the descriptors, over everything reachable from the calls."""
    waiting = [(ours.DESCRIPTOR, theirs.DESCRIPTOR) for ours, theirs in calls(serving_api)]
    compared = set()
    while waiting:
        ours, theirs = waiting.pop()
        if ours.full_name in compared:
            continue
        compared.add(ours.full_name)
        assert ours.full_name == theirs.full_name
        for field in ours.fields:
            counterpart = theirs.fields_by_name[field.name]
            as_number = {field.TYPE_ENUM: field.TYPE_INT32}  # the same on the wire
            assert field.number == counterpart.number, field.full_name
            assert as_number.get(field.type, field.type) == as_number.get(counterpart.type, counterpart.type)
            assert (field.is_repeated, field.is_packed) == (counterpart.is_repeated, counterpart.is_packed)
            if field.message_type:
                waiting.append((field.message_type, counterpart.message_type))
            elif field.enum_type:
                numbers = {value.name: value.number for value in counterpart.enum_type.values}
                assert {value.name: value.number for value in field.enum_type.values}.items() <= numbers.items()
    assert len(compared) > 25


def test_metadata_and_status_are_read(serving_api):
    from tensorflow.core.framework import types_pb2

    signatures = serving_api.metadata.SignatureDefMap()
    signatures.signature_def["serving_default"].inputs["L"].dtype = types_pb2.DT_FLOAT
    theirs = serving_api.metadata.GetModelMetadataResponse()
    theirs.metadata["signature_def"].Pack(signatures)
    ours = wire.GetModelMetadataResponse.FromString(theirs.SerializeToString())
    read = wire.SignatureDefMap()
    assert ours.metadata["signature_def"].Unpack(read)
    assert read.signature_def["serving_default"].inputs["L"].dtype == 1

    status = serving_api.status.GetModelStatusResponse()
    status.model_version_status.add(version=7, state="AVAILABLE").status.error_message = "fine"
    (version,) = wire.GetModelStatusResponse.FromString(status.SerializeToString()).model_version_status
    assert (version.version, version.state, version.status.error_message) == (7, wire.MODEL_AVAILABLE, "fine")


def test_a_short_list_of_values_is_filled_up_with_the_last():
    tensor = wire.TensorProto(dtype=1, float_val=[1.0, 2.0])
    tensor.tensor_shape.dim.add(size=4)
    assert wire.array_from_tensor(tensor).tolist() == [1, 2, 2, 2]


def spoiled(**fields):
    tensor = wire.TensorProto(**{"dtype": 1, **fields})
    tensor.tensor_shape.dim.add(size=2)
    return tensor


@pytest.mark.parametrize(
    "tensor",
    [
        spoiled(dtype=99),
        spoiled(tensor_content=b"12345"),
        spoiled(float_val=[1, 2, 3]),
        spoiled(dtype=4, int_val=[256, 0]),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(tensor):
    with pytest.raises(ValueError, match="tensor"):
        wire.array_from_tensor(tensor)


@pytest.mark.parametrize("sizes", [[-1], [2**40, 2**40], [10**9]])
def test_a_tensor_of_impossible_size_takes_no_memory(sizes):
    tensor = wire.TensorProto(dtype=1, float_val=[1.0])
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match="tensor of"):
        wire.array_from_tensor(tensor)


def test_a_type_tensorflow_lacks_is_named():
    with pytest.raises(TypeError, match="datetime64"):
        wire.tensor_from_array(np.array(["2020-01-01"], "datetime64[D]"))


@pytest.mark.slow
@pytest.mark.parametrize("order", ["wire first", "tensorflow first"])
def test_wire_and_tensorflow_live_in_one_process(order):
    imports = ["from serving.client import wire", "from tensorflow_serving.apis import predict_pb2"]
    if order == "tensorflow first":
        imports.reverse()
    check = "assert predict_pb2.PredictRequest.FromString(request.SerializeToString()).inputs['L'].dtype == 1"
    code = "\n".join(
        [
            *imports,
            "import numpy as np",
            "request = wire.PredictRequest()",
            "request.inputs['L'].CopyFrom(wire.tensor_from_array(np.zeros(3, np.float32)))",
            check,
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
