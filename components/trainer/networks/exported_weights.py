"""Where the weights of an exported generator belong in a network of the same recipe, those of earlier exports too."""

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.model.plain_path import plain_path

# What `Servable.generator` is called in the object graph of an exported model's variables.
_KEY_START, _KEY_END = "generator/", "/.ATTRIBUTES/VARIABLE_VALUE"

# What exports called the parts of a U-Net before they were blocks.
_EARLIER_PATHS = (
    (r"(stem|downs/\d+|ups/\d+)/(\w+)", r"\1/convolution/\2"),
    (r"(down|up)_norms/(\d+)/(\w+)", r"\1s/\2/norm/\3"),
    (r"blocks/(\d+)/(\d+)/(\w+)", r"downs/\1/convolutions/\2/\3"),
    (r"block_norms/(\d+)/(\d+)/(\w+)", r"downs/\1/norms/\2/\3"),
    (r"merges/(\d+)/(\w+)", r"ups/\1/merge/convolution/\2"),
    (r"merge_norms/(\d+)/(\w+)", r"ups/\1/merge/norm/\2"),
)


def read_exported_weights(model: str) -> dict[str, NDArray[np.float32]]:
    """The generator's weights in a SavedModel's folder, by their path in the network as it is now.

    Raises:
        ValueError, tf.errors.OpError: there are none, or they cannot be read.
    """
    with plain_path(model) as plain:
        reader = tf.train.load_checkpoint(f"{plain}/variables/variables")
        return {
            path_now(key.removeprefix(_KEY_START).removesuffix(_KEY_END)): reader.get_tensor(key)
            for key in reader.get_variable_to_shape_map()
            if key.startswith(_KEY_START) and key.endswith(_KEY_END)
        }


def path_now(path: str) -> str:
    """What a path in the object graph of some export is called now: `down_norms/1/beta` -> `downs/1/norm/beta`."""
    for earlier, now in _EARLIER_PATHS:
        if re.fullmatch(earlier, path):
            return re.sub(earlier, now, path)
    return path


def find_weight(network: keras.Model, path: str) -> Any:
    """What `downs/1/convolution/_kernel` is in a network: attributes and places in lists; None where there is none."""
    found: Any = network
    try:
        for part in path.split("/"):
            found = found[int(part)] if part.isdecimal() else getattr(found, part)
    except (AttributeError, IndexError, TypeError):
        return None
    return found
