"""Converts a SavedModel's signatures to ONNX graphs whose weights lie outside of them. Imports TensorFlow and tf2onnx.

The weights keep the names, shapes and order of axes that they have in the SavedModel's checkpoint, so that the same
arrays serve both; what a convolution of ONNX wants transposed is transposed in the graph, and an engine does that once,
when it loads it.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.errors import TintypeError
from serving.model import signatures
from serving.model.description import ModelDescription
from serving.model.onnx_model import METADATA
from serving.model.plain_path import plain_path

OPSET = 18

# Not `variants`, whose random numbers no operator of ONNX draws, and not `colorize_bytes`, which decodes photographs.
_CARRIED = (signatures.COLORIZE, signatures.GUIDED)


@dataclass(frozen=True)
class OnnxGraph:
    """A signature as a graph of ONNX.

    Attributes:
        signature: its name.
        model: an onnx.ModelProto, in whose graph nothing gives the weights, each named `KEY:0`.
        weights: by the key of the SavedModel's checkpoint.
    """

    signature: str
    model: Any
    weights: Mapping[str, NDArray[Any]]

    def with_weights(self, tensors: Mapping[str, Any]) -> Any:
        """Return an onnx.ModelProto whose weights are initializers.

        Args:
            tensors: an onnx.TensorProto for each weight, with its data or where that lies. Those of float16 become
                float32 in the graph.
        """
        from onnx import ModelProto, TensorProto, helper

        made = ModelProto()
        made.CopyFrom(self.model)
        del made.graph.node[:]
        for key in self.weights:
            tensor = made.graph.initializer.add()
            tensor.CopyFrom(tensors[key])
            tensor.name = f"{key}:0"
            if tensor.data_type == TensorProto.FLOAT16:
                tensor.name = key
                made.graph.node.append(helper.make_node("Cast", [key], [f"{key}:0"], to=TensorProto.FLOAT))
        made.graph.node.extend(self.model.graph.node)
        return made


def onnx_graphs(model_dir: str) -> list[OnnxGraph]:
    """Convert those of a model's signatures that ONNX can carry: `serving_default`, and `guided` where there is one.

    What `describe` says goes into the metadata of every graph, as JSON under the key METADATA.

    Args:
        model_dir: the folder of saved_model.pb.

    Raises:
        TintypeError: the model does not load, does not keep the contract, or holds what has no counterpart in ONNX.
    """
    import tensorflow as tf

    from serving.model.saved_colorizer import SavedColorizer

    description = SavedColorizer(model_dir).description
    with plain_path(model_dir) as plain:
        loaded = tf.saved_model.load(plain)
        variables = _Variables(tf.train.load_checkpoint(f"{plain}/variables/variables"))
    with _quiet_tf2onnx():
        return [
            _converted(name, loaded.signatures[name], variables, description)
            for name in _CARRIED
            if name in loaded.signatures
        ]


class _Variables:
    """The numbers of a checkpoint by their keys, to be found by their value: a frozen graph knows no keys."""

    def __init__(self, checkpoint: Any):
        dtypes = checkpoint.get_variable_to_dtype_map()
        tensors = {key: np.asarray(checkpoint.get_tensor(key)) for key in sorted(dtypes) if dtypes[key].is_floating}
        self.arrays = {key: array for key, array in tensors.items() if array.size > 1}
        self._keys: dict[tuple[object, ...], str] = {}
        for key, array in self.arrays.items():
            self._keys.setdefault(_value(array), key)

    def key_of(self, array: NDArray[Any]) -> str | None:
        """Return the key of such numbers, where they are a variable's."""
        return self._keys.get(_value(array))


def _value(array: NDArray[Any]) -> tuple[object, ...]:
    return array.dtype.str, array.shape, array.tobytes()


def _converted(name: str, function: Any, variables: _Variables, description: ModelDescription) -> OnnxGraph:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tf2onnx import optimizer, tf_loader
    from tf2onnx.tfonnx import process_tf_graph

    if _draws(function.graph.as_graph_def()):
        raise TintypeError(
            f"the signature {name!r} cannot be converted to ONNX: its dropout stays on when it colours, and no "
            "operator of ONNX draws the same numbers"
        )
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
    inputs = {f"{spec.name}:0": key for key, spec in sorted(function.structured_input_signature[1].items())}
    # A signature's outputs come in the order of their names.
    outputs = dict(zip((tensor.name for tensor in frozen.outputs), sorted(function.structured_outputs), strict=True))
    graph_def, nodes = _with_weights_fed(frozen.graph.as_graph_def(), variables)
    weights = {f"{node}:0": f"{key}:0" for key, node in nodes.items()}
    fed = [*inputs, *weights]
    try:
        with tf.Graph().as_default():
            graph_def = tf_loader.tf_optimize(fed, list(outputs), graph_def)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
        with tf_loader.tf_session(graph=graph):
            made = process_tf_graph(
                graph,
                opset=OPSET,
                input_names=fed,
                output_names=list(outputs),
                tensors_to_rename=inputs | outputs | weights,
            )
        model = optimizer.optimize_graph(made, catch_errors=False).make_model(name)
    except (ValueError, KeyError, NotImplementedError, RuntimeError, tf.errors.OpError) as error:
        raise TintypeError(f"the signature {name!r} cannot be converted to ONNX: {error}") from error
    _finish(model, list(inputs.values()), description)
    used = {tensor for node in model.graph.node for tensor in node.input}
    return OnnxGraph(name, model, {key: variables.arrays[key] for key in sorted(nodes) if f"{key}:0" in used})


def _draws(graph_def: Any) -> bool:
    """Whether a graph, or a function that it calls, draws random numbers."""
    nodes = (graph_def.node, *(function.node_def for function in graph_def.library.function))
    return any(node.op.startswith(("Random", "StatelessRandom")) for part in nodes for node in part)


def _with_weights_fed(graph_def: Any, variables: _Variables) -> tuple[Any, dict[str, str]]:
    """Return a frozen graph in which the variables are fed, and the node that feeds each, by the variable's key."""
    import tensorflow as tf

    made = tf.compat.v1.GraphDef(versions=graph_def.versions)
    nodes: dict[str, str] = {}
    for node in graph_def.node:
        array = tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None
        key = None if array is None else variables.key_of(array)
        if array is None or key is None:
            made.node.add().CopyFrom(node)
        elif key in nodes:  # another variable of the same numbers
            again = made.node.add(name=node.name, op="Identity", input=[nodes[key]])
            again.attr["T"].CopyFrom(node.attr["dtype"])
        else:
            nodes[key] = node.name
            placeholder = made.node.add(name=node.name, op="Placeholder")
            placeholder.attr["dtype"].CopyFrom(node.attr["dtype"])
            placeholder.attr["shape"].shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    return made, nodes


def _finish(model: Any, inputs: list[str], description: ModelDescription) -> None:
    """Order and name all parts by what the outputs need, so that the same model gives the same bytes; add metadata."""
    graph = model.graph
    values = {value.name: value for value in graph.input}
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = {name: name for name in ("", *values, *(value.name for value in graph.output))}
    nodes, tensors = [], []
    met: set[str] = set()
    waiting = [(value.name, False) for value in reversed(graph.output)]
    while waiting:
        name, are_inputs_there = waiting.pop()
        node = producers.get(name)
        if are_inputs_there:
            nodes.append(producers[name])
        elif name not in met:
            met |= set(node.output) if node is not None else {name}
            for each in node.output if node is not None else [name]:
                names.setdefault(each, f"t{len(names)}")
            if node is not None:
                waiting += [(name, True), *((each, False) for each in reversed(node.input))]
            elif name in constants:
                tensors.append(constants[name])
    made = type(graph)(name=graph.name, input=[values[name] for name in inputs], output=graph.output)
    for number, node in enumerate(nodes):
        made.node.add().CopyFrom(node)
        made.node[-1].name = f"n{number}"
        made.node[-1].input[:] = [names[name] for name in node.input]
        made.node[-1].output[:] = [names[name] for name in node.output]
    for tensor in tensors:
        made.initializer.add().CopyFrom(tensor)
        made.initializer[-1].name = names[tensor.name]
    for value in (*made.input, *made.output):
        _name_axes(value)
    graph.CopyFrom(made)
    model.producer_name, model.producer_version = "tintype", ""
    model.metadata_props.add(key=METADATA, value=json.dumps(asdict(description)))


def _name_axes(value: Any) -> None:
    """Name the axes of unknown length: N, and H and W or what those become."""
    names = iter(("N", "H", "W") if value.name not in signatures.SMALL_OUTPUTS else ("N", "h", "w"))
    for axis in value.type.tensor_type.shape.dim:
        if not axis.HasField("dim_value"):
            axis.dim_param = next(names)


@contextmanager
def _quiet_tf2onnx() -> Iterator[None]:
    """Keep what tf2onnx logs of its own progress off the terminal."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
