"""What the JSON of the REST API can carry: which dtypes as what, and base64."""

import tensorflow as tf

BASE64_KEY = "b64"

# TensorFlow's C++ names of the dtypes, where they are not NumPy's.
DTYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half"}

FLOATS = ("float32", "float64")

# What a JSON value must be to become a number of that dtype; the other dtypes JSON does not carry.
JSON_TYPES_OF_DTYPE: dict[str, set[type]] = {
    "bool": {bool},
    **{name: {int} for name in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")},
    **{name: {int, float} for name in FLOATS},
}


def dtype_name(datatype: int) -> str:
    """Return NumPy's name of a dtype that a message gives by its number."""
    return str(tf.as_dtype(datatype).name)
