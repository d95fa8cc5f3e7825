"""A signature with its variables made constants, which lets TensorFlow fold and fuse what it computes from them."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DT_RESOURCE
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from serving.server.version_manager import log

# Constants are a copy, and a graph has two gigabytes at most.
_MAX_BYTES = 512 * 2**20
# What may be done with a variable that never changes.
_READS = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd"})

Run = Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]


def frozen(function: Any) -> Run | None:
    """Return a signature's function with constants for variables; None where the function cannot do without them.

    It computes the same, a convolution and the normalisation behind it perhaps in one step: the last bits may differ.

    Args:
        function: of a loaded SavedModel; one that writes to a variable, or uses a table, stays as it is.

    Returns:
        A function of the inputs by their names; it owns all it needs.
    """
    handles = {id(variable.handle) for variable in function.variables}
    if not handles or any(id(captured) not in handles for captured in function.captured_inputs):
        return None
    if sum(variable.dtype.size * variable.shape.num_elements() for variable in function.variables) > _MAX_BYTES:
        return None
    if not _only_reads(function.graph.as_graph_def()):
        return None
    try:
        constant = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:  # it knows less than the loader does
        log.warning("a signature stays as it is, its variables cannot be made constants: %s", error)
        return None
    names = list(function._arg_keywords)  # in the order of the inputs, whose own names may be others
    if len(names) != len(constant.inputs):
        return None

    def run(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = constant(*(inputs[name] for name in names))
        return tf.nest.pack_sequence_as(function.structured_outputs, tf.nest.flatten(outputs))

    return run


def _only_reads(graph: tf.compat.v1.GraphDef) -> bool:
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    for node in nodes:
        definition = op_def_registry.get(node.op)  # None for a call of a function of the graph
        takes_resource = definition and any(argument.type == DT_RESOURCE for argument in definition.input_arg)
        if takes_resource and node.op not in _READS:
            return False
    return True
