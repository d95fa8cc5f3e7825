"""Tensors from messages and into them, as TensorFlow Serving reads and writes them. Imports TensorFlow."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from serving.server.errors import invalid

# TensorFlow's C++ names of the dtypes, where they are not NumPy's.
_NAMES_IN_CPP = {"float32": "float", "float64": "double", "float16": "half"}

# A TensorProto may hold one value and a shape that repeats it: a few bytes must not ask for all the memory.
_MAX_REPEATED_BYTES = 256 * 2**20

# The fields of tensor.proto whose packed values are the bytes of the array itself: they are written in one piece, which
# takes a fortieth of the time that a list of Python's numbers takes. By dtype the field's number.
_FIELD_OF_BYTES = {tf.float32: 5, tf.float64: 6, tf.complex64: 9, tf.bool: 11, tf.complex128: 12}
_FIELD_OF_NUMBERS = {
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint8, tf.uint16), "int_val"),
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.float16: "half_val",
    tf.bfloat16: "half_val",
}
_LENGTH_DELIMITED = 2  # protobuf's wire type of packed values


def dtype_name(datatype: int) -> str:
    """Return NumPy's name of a dtype that a message gives by its number."""
    return str(tf.as_dtype(datatype).name)


def dtype_in_words(name: str) -> str:
    """Return how TensorFlow Serving's errors call a dtype, by NumPy's name for it."""
    return _NAMES_IN_CPP.get(name, name)


def read_tensor(name: str, proto: TensorProto) -> tf.Tensor:
    """Return the tensor in a message, as TensorFlow's `Tensor::FromProto` reads it.

    The last of too few values stands for all that follow, zeros (empty strings) stand for no values at all, and values
    beyond the shape are left out.

    Args:
        name: of the input, for the words of an error.
        proto: the values as `tensor_content` or in typed fields.

    Raises:
        RequestError: INVALID_ARGUMENT for an unknown dtype, a shape that is none, bytes that do not fill the shape, or
            a shape above 256 MiB that is to be filled by repeating.
    """
    try:
        dtype = tf.as_dtype(proto.dtype)
    except TypeError as error:
        raise invalid(f"tensor parsing error: {name}: unknown data type {proto.dtype}") from error
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"tensor parsing error: {name}: its shape must be fully known, received {shape}")
    count = math.prod(shape)
    if proto.tensor_content and (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        # A view of the message's bytes: the one copy is TensorFlow's own, into aligned memory.
        values = np.frombuffer(proto.tensor_content, np.uint8)
        if values.nbytes != count * dtype.size:
            raise invalid(
                f"tensor parsing error: {name}: shape {shape} of {dtype.name} takes {count * dtype.size} bytes, "
                f"received {values.nbytes}"
            )
        return tf.constant(values.view(dtype.as_numpy_dtype).reshape(shape))
    if not proto.tensor_content:
        held = sum(len(values) for field, values in proto.ListFields() if field.name.endswith("_val"))
        if held < count and count * dtype.size > _MAX_REPEATED_BYTES:
            raise invalid(
                f"tensor parsing error: {name}: shape {shape} is too large to be filled by repeating {held} values"
            )
    try:
        return tf.io.parse_tensor(proto.SerializeToString(), dtype)
    except tf.errors.OpError as error:
        raise invalid(f"tensor parsing error: {name}: {error.message}") from error


def write_tensor(tensor: tf.Tensor, proto: TensorProto, *, as_content: bool) -> None:
    """Write a tensor into an empty message.

    Args:
        tensor: of any dtype that holds values.
        proto: the message.
        as_content: numbers as raw bytes in `tensor_content`; else in the typed field of their dtype (`float_val`,
            `int64_val`, ...). Strings always go into `string_val`.
    """
    proto.dtype = tensor.dtype.as_datatype_enum
    for size in tensor.shape:
        proto.tensor_shape.dim.add().size = size
    if tensor.dtype == tf.string:
        proto.string_val.extend(np.ravel(tensor.numpy()).tolist())
        return
    if as_content or not (tensor.dtype in _FIELD_OF_BYTES or tensor.dtype in _FIELD_OF_NUMBERS):
        proto.tensor_content = _bytes_of(tensor)
    elif tensor.dtype in _FIELD_OF_BYTES:
        values = _bytes_of(tensor)
        tag = _FIELD_OF_BYTES[tensor.dtype] << 3 | _LENGTH_DELIMITED
        proto.MergeFromString(bytes([tag]) + _varint(len(values)) + values)
    else:
        array = np.ravel(tensor.numpy())
        field = _FIELD_OF_NUMBERS[tensor.dtype]
        # half_val carries the bits of each half as an integer.
        getattr(proto, field).extend((array.view(np.uint16) if field == "half_val" else array).tolist())


def _bytes_of(tensor: tf.Tensor) -> bytes:
    # numpy() copies; a view does not, but Python's buffers know no bfloat16 and the like.
    return (memoryview(tensor) if tensor.dtype == tf.float32 else tensor.numpy()).tobytes()


def _varint(number: int) -> bytes:
    """Return protobuf's variable-length form of a length."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
