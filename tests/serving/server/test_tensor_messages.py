"""Tensors to messages and back: every dtype, in typed fields and as raw bytes."""

import numpy as np
import pytest

DTYPES = [
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "bool", "complex64", "complex128", "string",
]  # fmt: skip


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_of_every_dtype_is_written_as_tensorflow_reads_it(dtype, as_content):
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    from serving.server.tensor_messages import read_tensor, write_tensor

    for shape in ((), (0, 2), (3, 50)):
        numbers = np.arange(np.prod(shape), dtype=np.int64).reshape(shape) - 1
        tensor = tf.strings.as_string(numbers) if dtype == "string" else tf.cast(numbers, dtype)
        proto = TensorProto()
        write_tensor(tensor, proto, as_content=as_content)
        written = TensorProto.FromString(proto.SerializeToString())
        assert (len(written.tensor_content) > 0) == (as_content and dtype != "string" and 0 not in shape)
        np.testing.assert_array_equal(tf.make_ndarray(written), tensor.numpy())
        np.testing.assert_array_equal(read_tensor("x", written).numpy(), tensor.numpy())


def test_long_and_short_lists_of_floats_are_the_fields_that_protobuf_writes():
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    from serving.server.tensor_messages import write_tensor

    for count in (1, 31, 32, 4095, 4096, 100_000):
        values = np.random.default_rng(count).normal(size=count).astype(np.float32)
        written, expected = TensorProto(), TensorProto(dtype=1, float_val=values.tolist())
        expected.tensor_shape.dim.add().size = count
        write_tensor(tf.constant(values), written, as_content=False)
        assert written == expected
