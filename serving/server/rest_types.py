"""What the JSON of the REST API can carry: which dtypes as what, and base64."""

BASE64_KEY = "b64"

FLOATS = ("float32", "float64")

# What a JSON value must be to become a number of that dtype; the other dtypes JSON does not carry.
JSON_TYPES_OF_DTYPE: dict[str, set[type]] = {
    "bool": {bool},
    **{name: {int} for name in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")},
    **{name: {int, float} for name in FLOATS},
}

# The integers that TensorFlow Serving takes for the small dtypes, which then wrap around.
CARRIER_OF_DTYPE = dict.fromkeys(("int8", "int16", "uint8"), "int32")
