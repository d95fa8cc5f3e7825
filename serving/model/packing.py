"""Packs a SavedModel into the one file that comes with the package: half the weights' bytes, and always the same."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photo.errors import TintypeError
from photo.whole_file import write_whole
from serving.model.half_precision import half_precision
from serving.model.onnx_model import ONNX_SUFFIX
from serving.model.plain_path import plain_path
from serving.model.shipped_generator import ARRAY_SUFFIX, GRAPHS, STRINGS_SUFFIX, VARIABLES

if TYPE_CHECKING:
    from serving.model.onnx_graphs import OnnxGraph

# What everybody downloads who installs Tintype.
MAX_PACKED_BYTES = 12_000_000

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_MODEL_FILES = ("saved_model.pb", "fingerprint.pb")
_MODEL_FOLDERS = ("assets", "assets.extra")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


@dataclass(frozen=True)
class Packed:
    """What came of packing.

    Attributes:
        size: of the file, in bytes.
        parameters: numbers in the model's variables.
        largest_rounding: the most that float16 changed a weight by, in the weight's own units.
        rounded_most: the variable that weight lies in.
    """

    size: int
    parameters: int
    largest_rounding: float
    rounded_most: str


def pack(model: Path, file: Path, graphs: Sequence["OnnxGraph"] = ()) -> Packed:
    """Pack a SavedModel; `unpack` makes a SavedModel of the same signatures of it. Imports TensorFlow.

    Variables of float32 are kept as float16, all others and the graph as they are. The same model gives the same bytes
    wherever and whenever it is packed (with one version of zlib).

    Args:
        model: the folder of saved_model.pb.
        file: where the packed model goes; it is there whole or not at all.
        graphs: of the same model, as `onnx_graphs` makes them; they take their weights from the packed variables.

    Raises:
        TintypeError: it is no SavedModel of TensorFlow 2; holds variables that no signature uses, weights beyond
            float16, or variables of float16 or bfloat16, which would come back as float32; or is too large packed.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    if not (model / "saved_model.pb").is_file():
        raise TintypeError(f"no saved_model.pb in {model}")
    try:
        with plain_path(str(model)) as plain:
            checkpoint = tf.train.load_checkpoint(f"{plain}/variables/variables")
            dtypes = {key: tf.as_dtype(dtype) for key, dtype in checkpoint.get_variable_to_dtype_map().items()}
            _check_variables_are_used(model, checkpoint, dtypes)
            tensors = {key: checkpoint.get_tensor(key) for key in sorted(dtypes)}
    except (tf.errors.OpError, DecodeError, OSError, ValueError) as error:
        raise TintypeError(f"cannot read the model in {model}: {error}") from error
    members = dict(_model_files(model))
    members |= {f"{GRAPHS}{graph.signature}{ONNX_SUFFIX}": _onnx(graph) for graph in graphs}
    largest, rounded_most, parameters = 0.0, "", 0
    for key, tensor in tensors.items():
        if dtypes[key] == tf.string:
            members[f"{VARIABLES}{key}{STRINGS_SUFFIX}"] = tf.io.serialize_tensor(tensor).numpy()
            continue
        packed = _packed_array(key, np.asarray(tensor), dtypes[key].name)
        rounding = float(np.abs(packed.astype(np.float64) - tensor).max(initial=0.0))
        parameters += packed.size
        if rounding > largest:
            largest, rounded_most = rounding, key
        members[f"{VARIABLES}{key}{ARRAY_SUFFIX}"] = _npy(packed)
    content = _zip(members)
    if len(content) > MAX_PACKED_BYTES:
        raise TintypeError(
            f"{model} packed takes {len(content):,} bytes; at most {MAX_PACKED_BYTES:,} may come with the package"
        )
    write_whole(file, content)
    return Packed(len(content), parameters, largest, rounded_most)


def _model_files(model: Path) -> Iterator[tuple[str, bytes]]:
    paths = [model / name for name in _MODEL_FILES]
    for folder in _MODEL_FOLDERS:
        paths += sorted((model / folder).rglob("*"))
    for path in paths:
        if path.is_file():
            yield path.relative_to(model).as_posix(), path.read_bytes()


def _packed_array(key: str, array: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype in ("float16", "bfloat16"):
        raise TintypeError(f"the variable {key} is of {dtype}; unpacked it would be of float32")
    return half_precision(key, array) if dtype == "float32" else array


def _onnx(graph: "OnnxGraph") -> bytes:
    """Return a graph whose weights an engine is given when it loads it, by the keys of the packed variables."""
    from onnx import TensorProto, helper

    tensors = {}
    for key, array in graph.weights.items():
        packed = half_precision(key, array)
        tensor = TensorProto(data_type=helper.np_dtype_to_tensor_dtype(packed.dtype), dims=packed.shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=f"{key}{ARRAY_SUFFIX}")
        tensors[key] = tensor
    content: bytes = graph.with_weights(tensors).SerializeToString(deterministic=True)
    return content


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16  # Unix, whatever this machine is
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=9)
    return file.getvalue()


def _check_variables_are_used(model: Path, checkpoint: Any, dtypes: dict[str, Any]) -> None:
    """Raise a TintypeError when the checkpoint holds what no signature captures, such as an optimizer's state.

    The graph of objects in saved_model.pb says which nodes the signatures' functions capture, the one in the checkpoint
    under which key a node's value lies; the names of the edges, which are the same in both, join the two.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    meta_graphs = SavedModel.FromString((model / "saved_model.pb").read_bytes()).meta_graphs
    if _OBJECT_GRAPH not in dtypes or len(meta_graphs) != 1 or not meta_graphs[0].object_graph_def.nodes:
        raise TintypeError(f"{model} is no SavedModel of TensorFlow 2, which has a graph of its objects")
    graph = meta_graphs[0].object_graph_def
    saved_nodes = TrackableObjectGraph.FromString(checkpoint.get_tensor(_OBJECT_GRAPH)).nodes
    keys: dict[int, set[str]] = {}
    waiting = [(0, 0)]
    while waiting:
        node, saved = waiting.pop()
        if node in keys:
            continue
        keys[node] = {attribute.checkpoint_key for attribute in saved_nodes[saved].attributes}
        children = {child.local_name: child.node_id for child in saved_nodes[saved].children}
        for child in graph.nodes[node].children:
            if child.local_name in children:
                waiting.append((child.node_id, children[child.local_name]))
    used = {key for node in _captured(graph) for key in keys.get(node, ())}
    unused = sorted(dtypes.keys() - used - {_OBJECT_GRAPH})
    if unused:
        raise TintypeError(f"{model} holds {len(unused)} variables that no signature uses: {', '.join(unused[:5])}")


def _captured(graph: Any) -> set[int]:
    """Return the nodes that the functions of the signatures capture."""
    names: list[str] = []
    for child in graph.nodes[0].children:
        if child.local_name == "signatures":
            for signature in graph.nodes[child.node_id].children:
                function = graph.nodes[signature.node_id]
                names += [function.bare_concrete_function.concrete_function_name, *function.function.concrete_functions]
    return {node for name in names if name for node in graph.concrete_functions[name].bound_inputs}
