"""TensorFlow Serving's messages without TensorFlow, byte for byte the same on the wire.

Our own, because Google's generated classes (`tensorflow-serving-api`) import all of TensorFlow. The few messages that a
client needs are declared here, with the field numbers of tensorflow/core/framework/{tensor,tensor_shape,types}.proto,
tensorflow/core/protobuf/meta_graph.proto and tensorflow_serving/{apis,config}/*.proto. They live in a descriptor pool
of their own, so that TensorFlow may register its full versions in the same process, before or after. Fields left out
here pass through as unknown fields.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from google.protobuf import any_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.descriptor import Descriptor
from numpy.typing import ArrayLike, NDArray

from serving.proto_messages import Declarations, file_of_messages

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD_CONFIG = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"

# NumPy's type of a tensor, TensorFlow's number for it, and the field that holds its values when they do not come as
# raw bytes in tensor_content (tensorflow/core/framework/types.proto and tensor.proto).
_TYPES: list[tuple[np.dtype[Any], str, int, str]] = [
    (np.dtype(np.float32), "DT_FLOAT", 1, "float_val"),
    (np.dtype(np.float64), "DT_DOUBLE", 2, "double_val"),
    (np.dtype(np.int32), "DT_INT32", 3, "int_val"),
    (np.dtype(np.uint8), "DT_UINT8", 4, "int_val"),
    (np.dtype(np.int16), "DT_INT16", 5, "int_val"),
    (np.dtype(np.int8), "DT_INT8", 6, "int_val"),
    (np.dtype(object), "DT_STRING", 7, "string_val"),
    (np.dtype(np.int64), "DT_INT64", 9, "int64_val"),
    (np.dtype(np.bool_), "DT_BOOL", 10, "bool_val"),
    (np.dtype(np.uint16), "DT_UINT16", 17, "int_val"),
    (np.dtype(np.float16), "DT_HALF", 19, "half_val"),
    (np.dtype(np.uint32), "DT_UINT32", 22, "uint32_val"),
    (np.dtype(np.uint64), "DT_UINT64", 23, "uint64_val"),
]
_NUMBER_OF_DTYPE = {dtype: number for dtype, _, number, _ in _TYPES}
_DTYPE_OF_NUMBER = {number: (dtype, field) for dtype, _, number, field in _TYPES}

_TENSORFLOW: Declarations = {
    "TensorShapeProto.Dim": [("size", "int64", 1), ("name", "string", 2)],
    "TensorShapeProto": [("dim", "repeated TensorShapeProto.Dim", 2), ("unknown_rank", "bool", 3)],
    "TensorProto": [
        ("dtype", "DataType", 1),
        ("tensor_shape", "TensorShapeProto", 2),
        ("version_number", "int32", 3),
        ("tensor_content", "bytes", 4),
        ("float_val", "repeated float", 5),
        ("double_val", "repeated double", 6),
        ("int_val", "repeated int32", 7),
        ("string_val", "repeated bytes", 8),
        ("int64_val", "repeated int64", 10),
        ("bool_val", "repeated bool", 11),
        ("half_val", "repeated int32", 13),
        ("uint32_val", "repeated uint32", 16),
        ("uint64_val", "repeated uint64", 17),
    ],
    "TensorInfo": [("name", "string", 1), ("dtype", "DataType", 2), ("tensor_shape", "TensorShapeProto", 3)],
    "SignatureDef": [("inputs", "map TensorInfo", 1), ("outputs", "map TensorInfo", 2), ("method_name", "string", 3)],
}
_TENSORFLOW_SERVING: Declarations = {
    "ModelSpec": [
        ("name", "string", 1),
        ("version", "google.protobuf.Int64Value", 2, "version_choice"),
        ("version_label", "string", 4, "version_choice"),
        ("signature_name", "string", 3),
    ],
    "PredictRequest": [
        ("model_spec", "ModelSpec", 1),
        ("inputs", "map tensorflow.TensorProto", 2),
        ("output_filter", "repeated string", 3),
    ],
    "PredictResponse": [("outputs", "map tensorflow.TensorProto", 1), ("model_spec", "ModelSpec", 2)],
    "SignatureDefMap": [("signature_def", "map tensorflow.SignatureDef", 1)],
    "GetModelMetadataRequest": [("model_spec", "ModelSpec", 1), ("metadata_field", "repeated string", 2)],
    "GetModelMetadataResponse": [("model_spec", "ModelSpec", 1), ("metadata", "map google.protobuf.Any", 2)],
    "StatusProto": [("error_code", "int32", 1), ("error_message", "string", 2)],
    "GetModelStatusRequest": [("model_spec", "ModelSpec", 1)],
    "ModelVersionStatus": [("version", "int64", 1), ("state", "State", 2), ("status", "StatusProto", 3)],
    "GetModelStatusResponse": [("model_version_status", "repeated ModelVersionStatus", 1)],
    "LogCollectorConfig": [("type", "string", 1), ("filename_prefix", "string", 2)],
    "SamplingConfig": [("sampling_rate", "double", 1), ("attributes", "int32", 2)],
    "LoggingConfig": [
        ("log_collector_config", "LogCollectorConfig", 1),
        ("sampling_config", "SamplingConfig", 2),
        ("custom_logging_config", "google.protobuf.Any", 3),
    ],
    "FileSystemStoragePathSourceConfig": [],  # only the policy in it travels
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy": [
        ("latest", "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest", 100, "policy_choice"),
        ("all", "FileSystemStoragePathSourceConfig.ServableVersionPolicy.All", 101, "policy_choice"),
        ("specific", "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific", 102, "policy_choice"),
    ],
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest": [("num_versions", "uint32", 1)],
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy.All": [],
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific": [("versions", "repeated int64", 1)],
    "ModelConfig": [
        ("name", "string", 1),
        ("base_path", "string", 2),
        ("model_type", "ModelType", 3),
        ("model_platform", "string", 4),
        ("logging_config", "LoggingConfig", 6),
        ("model_version_policy", "FileSystemStoragePathSourceConfig.ServableVersionPolicy", 7),
        ("version_labels", "map int64", 8),
    ],
    "ModelConfigList": [("config", "repeated ModelConfig", 1)],
    "ModelServerConfig": [
        ("model_config_list", "ModelConfigList", 1, "config"),
        ("custom_model_config", "google.protobuf.Any", 2, "config"),
    ],
    "ReloadConfigRequest": [("config", "ModelServerConfig", 1), ("metric_names", "repeated string", 2)],
    "Metric": [("name", "string", 1), ("int64_value_increase", "int64", 2, "value_increase")],
    "ReloadConfigResponse": [("status", "StatusProto", 1), ("metric", "repeated Metric", 2)],
}
_STATES = {"UNKNOWN": 0, "START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
_TENSORFLOW_ENUMS = {"DataType": {"DT_INVALID": 0} | {name: number for _, name, number, _ in _TYPES}}
_TENSORFLOW_SERVING_ENUMS = {
    "State": _STATES,
    "ModelType": {"MODEL_TYPE_UNSPECIFIED": 0, "TENSORFLOW": 1, "OTHER": 2},
}

_TENSORFLOW_FILE, _SERVING_FILE = "tintype/tensorflow.proto", "tintype/tensorflow_serving.proto"


def _declare() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for well_known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(well_known.DESCRIPTOR.serialized_pb)
    tensorflow = file_of_messages(_TENSORFLOW_FILE, "tensorflow", _TENSORFLOW, enums=_TENSORFLOW_ENUMS)
    serving = file_of_messages(
        _SERVING_FILE,
        "tensorflow.serving",
        _TENSORFLOW_SERVING,
        enums=_TENSORFLOW_SERVING_ENUMS,
        dependencies=[tensorflow.name, any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name],
    )
    for file in (tensorflow, serving):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _declare()


def _message_class(full_name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(full_name))


def _classes(descriptors: Iterable[Descriptor]) -> Iterator[Any]:
    for descriptor in descriptors:
        yield message_factory.GetMessageClass(descriptor)
        yield from _classes(descriptor.nested_types)


# protobuf makes the class of a message when it is first needed, and drops it when nobody holds it, also while a message
# that contains one is in use. Held here, all of them live as long as this module.
_HELD = [
    message_class
    for file in (_TENSORFLOW_FILE, _SERVING_FILE, any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name)
    for message_class in _classes(_POOL.FindFileByName(file).message_types_by_name.values())
]

TensorShapeProto = _message_class("tensorflow.TensorShapeProto")
TensorProto = _message_class("tensorflow.TensorProto")
TensorInfo = _message_class("tensorflow.TensorInfo")
SignatureDef = _message_class("tensorflow.SignatureDef")
ModelSpec = _message_class("tensorflow.serving.ModelSpec")
PredictRequest = _message_class("tensorflow.serving.PredictRequest")
PredictResponse = _message_class("tensorflow.serving.PredictResponse")
SignatureDefMap = _message_class("tensorflow.serving.SignatureDefMap")
GetModelMetadataRequest = _message_class("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _message_class("tensorflow.serving.GetModelMetadataResponse")
GetModelStatusRequest = _message_class("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = _message_class("tensorflow.serving.GetModelStatusResponse")
ModelVersionStatus = _message_class("tensorflow.serving.ModelVersionStatus")
ModelConfig = _message_class("tensorflow.serving.ModelConfig")
ModelServerConfig = _message_class("tensorflow.serving.ModelServerConfig")
ReloadConfigRequest = _message_class("tensorflow.serving.ReloadConfigRequest")
ReloadConfigResponse = _message_class("tensorflow.serving.ReloadConfigResponse")

MODEL_AVAILABLE = _STATES["AVAILABLE"]
MODEL_ARRIVING = (_STATES["START"], _STATES["LOADING"])


def tensor_from_array(array: ArrayLike) -> Any:
    """Return the TensorProto of an array: numbers and booleans, or byte strings (Python's str is sent as UTF-8).

    Raises:
        TypeError: when TensorFlow has no such type.
    """
    values = np.asarray(array)
    if values.dtype.kind in "SUO":
        values = values.astype(object)
    dtype = values.dtype.newbyteorder("=")
    if dtype not in _NUMBER_OF_DTYPE:
        raise TypeError(f"no tensor can hold {values.dtype}; expected one of {', '.join(map(str, _NUMBER_OF_DTYPE))}")
    tensor = TensorProto(dtype=_NUMBER_OF_DTYPE[dtype])
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype.kind == "O":
        tensor.string_val.extend(v.encode() if isinstance(v, str) else v for v in values.ravel())
    else:
        tensor.tensor_content = values.astype(dtype.newbyteorder("<"), copy=False).tobytes()
    return tensor


def array_from_tensor(tensor: Any) -> NDArray[Any]:
    """Return the array of a TensorProto; strings become an array of Python `bytes`.

    Understands both forms TensorFlow writes: raw bytes, and a list of values whose last one stands for all that follow.

    Raises:
        ValueError: when the tensor contradicts itself or has a type this client does not know.
    """
    number = tensor.dtype
    if number not in _DTYPE_OF_NUMBER:
        raise ValueError(f"a tensor of type number {number}, which this client does not know")
    dtype, field = _DTYPE_OF_NUMBER[number]
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if any(size < 0 for size in shape):
        raise ValueError(f"a tensor of the impossible shape {shape}")
    count = int(np.prod(shape, dtype=object)) if shape else 1
    content = tensor.tensor_content
    if content and dtype.kind != "O":
        if len(content) != count * dtype.itemsize:
            raise ValueError(f"{len(content)} bytes for a {dtype} tensor of shape {shape}")
        return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
    values = getattr(tensor, field)
    if len(values) > count or (count > 1_000_000 and len(values) < count):
        raise ValueError(f"{len(values)} values for a {dtype} tensor of shape {shape}")
    array = np.full(count, b"", dtype) if dtype.kind == "O" else np.zeros(count, dtype)
    try:
        given = _values_of_field(tensor, field, dtype)
    except OverflowError as error:
        raise ValueError(f"a {dtype} tensor with a value beyond its type: {error}") from error
    array[: len(given)] = given
    if 0 < len(given) < count:
        array[len(given) :] = given[-1]
    return array.reshape(shape)


def _values_of_field(tensor: Any, field: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = getattr(tensor, field)
    if field in ("float_val", "double_val") and values:
        # Serialized by themselves they are a tag, a length, and the array: a thirtieth of the time of a loop.
        alone = TensorProto()
        alone.CopyFrom(tensor)
        alone.DiscardUnknownFields()
        for described, _ in alone.ListFields():
            if described.name != field:
                alone.ClearField(described.name)
        little_endian = dtype.newbyteorder("<")
        return np.frombuffer(alone.SerializeToString()[-dtype.itemsize * len(values) :], little_endian, len(values))
    # half_val carries the bits of each half as an integer.
    return np.fromiter(values, np.uint16 if field == "half_val" else dtype, len(values)).view(dtype)
