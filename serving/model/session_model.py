"""Runs a TensorFlow 1 SavedModel in a session, as TensorFlow Serving does. Imports TensorFlow.

tf.saved_model.load cannot take every such model: not one with reference variables, not one of an old GraphDef version,
not one whose inputs are named as Python's own words.
"""

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.op_def_pb2 import OpList
from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef, MetaGraphDef, SignatureDef, TensorInfo

Signature = Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]
"""Takes tensors by name and returns tensors by name."""

INIT_OPERATION = "__saved_model_init_op"  # the "signature" of the operation that initializes a model, no signature

_OLD_INIT_OPERATIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS = "saved_model_assets"


class SessionModel:
    """The signatures of a graph in a session of its own, to be called from any number of threads.

    What is fed is not held to the shapes that the graph's placeholders name, in TensorFlow Serving as little.

    Args:
        folder: of the SavedModel, on any file system TensorFlow knows.
        meta_graph: what to load of it.

    Attributes:
        signatures: the signatures to call, by name.
        input_dtypes: by the signature's name, the dtypes of its inputs by theirs.

    Raises:
        ValueError: the graph cannot be imported.
        tf.errors.OpError: its variables or assets cannot be read.
    """

    def __init__(self, folder: str, meta_graph: MetaGraphDef):
        signature_defs = {
            name: SignatureDef.FromString(signature.SerializeToString())  # a part keeps the whole graph in memory
            for name, signature in meta_graph.signature_def.items()
            if name != INIT_OPERATION
        }
        known_operations = meta_graph.meta_info_def.stripped_op_list
        graph = _imported(meta_graph.graph_def, known_operations)
        # By the graph: old models have signatures that name others.
        self.input_dtypes = {
            name: {key: _dtype(graph, info) for key, info in signature.inputs.items()}
            for name, signature in signature_defs.items()
        }
        fed = {info.name: _dtype(graph, info) for made in signature_defs.values() for info in made.inputs.values()}
        self._fed = {name: f"{_feed_of(name)}:0" for name in fed}
        graph = _imported(_with_feeds(meta_graph.graph_def, fed), known_operations)
        self._session = tf.compat.v1.Session(graph=graph, config=tf.compat.v1.ConfigProto(allow_soft_placement=True))
        weakref.finalize(self, self._session.close)
        _restore(self._session, folder.rstrip("/"), meta_graph)
        self.signatures: dict[str, Signature] = {
            name: partial(self._call, signature) for name, signature in signature_defs.items()
        }

    def _call(self, signature: SignatureDef, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        feeds = [self._fed[signature.inputs[name].name] for name in inputs]
        # An output may be an input as well: then it is what was fed.
        fetches = [self._fed.get(info.name, info.name) for info in signature.outputs.values()]
        dtypes = [tf.as_dtype(info.dtype).base_dtype for info in signature.outputs.values()]

        def run(*arrays: Any) -> list[Any]:
            fetched: list[Any] = self._session.run(fetches, dict(zip(feeds, arrays, strict=True)))
            return fetched

        if tf.executing_eagerly():
            arrays = run(*(tensor.numpy() for tensor in inputs.values()))
            tensors = [tf.constant(array, dtype) for array, dtype in zip(arrays, dtypes, strict=True)]
        else:  # while a batch of such calls is traced
            tensors = tf.numpy_function(run, list(inputs.values()), dtypes)
        return dict(zip(signature.outputs, tensors, strict=True))


def _imported(graph_def: GraphDef, known_operations: OpList) -> tf.Graph:
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="", producer_op_list=known_operations)
    return graph


def _dtype(graph: tf.Graph, info: TensorInfo) -> tf.DType:
    return graph.get_tensor_by_name(info.name).dtype.base_dtype


def _feed_of(tensor: str) -> str:
    """Return the name of the node that is fed in place of a tensor."""
    return f"{tensor.replace(':', '_')}_fed"


def _with_feeds(graph_def: GraphDef, fed: Mapping[str, tf.DType]) -> GraphDef:
    """Return the graph with a node behind each tensor to be fed: it takes any shape, and else lets the tensor through.

    A session of Python refuses to feed what does not fit a placeholder's shape; TensorFlow Serving's does not.

    Args:
        graph_def: the graph.
        fed: the dtypes of the tensors by their names, `operation:output`.
    """
    made = GraphDef.FromString(graph_def.SerializeToString())
    feed_of_input = {name.removesuffix(":0"): _feed_of(name) for name in fed}
    for node in made.node:
        node.input[:] = [feed_of_input.get(name, name) for name in node.input]
    for name, dtype in fed.items():
        node = made.node.add(name=_feed_of(name), op="PlaceholderWithDefault", input=[name])
        node.attr["dtype"].type = dtype.as_datatype_enum
        node.attr["shape"].shape.unknown_rank = True
    return made


def _restore(session: tf.compat.v1.Session, folder: str, meta_graph: MetaGraphDef) -> None:
    """Give the variables their values, and run what the model wants to have run."""
    assets = {}
    for packed in meta_graph.collection_def[_ASSETS].any_list.value if _ASSETS in meta_graph.collection_def else ():
        asset = AssetFileDef()
        packed.Unpack(asset)
        assets[asset.tensor_info.name] = f"{folder}/assets/{asset.filename}"
    saver = meta_graph.saver_def
    if saver.restore_op_name:
        session.run(saver.restore_op_name, {**assets, saver.filename_tensor_name: f"{folder}/variables/variables"})
    if operation := _init_operation(meta_graph):
        session.run(operation, assets)


def _init_operation(meta_graph: MetaGraphDef) -> str:
    """Return the operation that initializes the model, `` if there is none."""
    if INIT_OPERATION in meta_graph.signature_def:
        return str(meta_graph.signature_def[INIT_OPERATION].outputs[INIT_OPERATION].name)
    for key in _OLD_INIT_OPERATIONS:
        if key in meta_graph.collection_def:
            return str(meta_graph.collection_def[key].node_list.value[0])
    return ""
