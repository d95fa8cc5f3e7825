"""Loads a SavedModel's signatures, ready to be called. Imports TensorFlow."""

import keyword
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, SignatureDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from serving.model.version_folders import SAVED_MODEL_FILE

Signature = Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]
"""Takes tensors by name and returns tensors by name."""

_SERVE_TAG = "serve"


class LoadedModel:
    """The signatures of one SavedModel, to be called from any number of threads.

    Args:
        folder: holds `saved_model.pb`, on any file system TensorFlow knows; its graph tagged `serve` is loaded.

    Attributes:
        signature_defs: the signatures as they stand in the file, by name.
        signatures: the signatures to call, by name.

    Raises:
        ValueError: the file is no SavedModel, or has no graph tagged `serve`.
        tf.errors.OpError, OSError: the file or its variables cannot be read.
    """

    def __init__(self, folder: str):
        saved_model = _read(folder)
        graph = _serving_graph(saved_model, folder)
        # Copies: a part of a message keeps all of it in memory, the graph too.
        self.signature_defs: dict[str, SignatureDef] = {
            name: SignatureDef.FromString(signature.SerializeToString())
            for name, signature in graph.signature_def.items()
        }
        # The functions do not own their variables: the loaded object must live as long as they do.
        with _without_wildcards(folder) as plain:
            self._loaded = _load(plain, saved_model)
        self.signatures: dict[str, Signature] = {
            name: partial(_call, function) for name, function in self._loaded.signatures.items()
        }


@contextmanager
def _without_wildcards(folder: str) -> Iterator[str]:
    """Yield a path of a folder in which TensorFlow, which looks for variables by a pattern, finds no wildcard."""
    if not (set(folder) & set("*?[]{}\\") and os.path.isdir(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="served-model-") as place:
        link = Path(place) / "model"
        link.symlink_to(Path(folder).absolute())
        yield str(link)


def _read(folder: str) -> Any:
    path = f"{folder.rstrip('/')}/{SAVED_MODEL_FILE}"
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        return SavedModel.FromString(content)
    except Exception as error:  # protobuf's DecodeError has no common base in all of its implementations
        raise ValueError(f"{path} is not a SavedModel: {error}") from error


def _serving_graph(saved_model: Any, folder: str) -> MetaGraphDef:
    for meta_graph in saved_model.meta_graphs:
        if _SERVE_TAG in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError(f"{folder} has no graph tagged {_SERVE_TAG!r}; it is not a SavedModel made for serving")


def _load(folder: str, saved_model: Any) -> Any:
    graph = _serving_graph(saved_model, folder)
    if not any(_parameter(name) != name for signature in graph.signature_def.values() for name in signature.inputs):
        return tf.saved_model.load(folder, tags=[_SERVE_TAG])
    # TensorFlow makes every input of a TensorFlow 1 model a parameter of a Python function: it cannot load this one.
    # (TensorFlow 2 saves no model with such names.)
    renamed = SavedModel.FromString(saved_model.SerializeToString())
    for signature in _serving_graph(renamed, folder).signature_def.values():
        for name in [name for name in signature.inputs if _parameter(name) != name]:
            signature.inputs[_parameter(name)].CopyFrom(signature.inputs[name])
            del signature.inputs[name]
    with tempfile.TemporaryDirectory(prefix="served-model-") as twin:
        (Path(twin) / SAVED_MODEL_FILE).write_bytes(renamed.SerializeToString())
        for child in Path(folder).iterdir():
            if child.name != SAVED_MODEL_FILE:
                (Path(twin) / child.name).symlink_to(child.absolute())
        return tf.saved_model.load(twin, tags=[_SERVE_TAG])


def _call(function: Any, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    outputs: dict[str, tf.Tensor] = function(**{_parameter(name): tensor for name, tensor in inputs.items()})
    return outputs


def _parameter(name: str) -> str:
    """Return the name under which an input can be an argument of a Python method."""
    return f"{name}_of_this_model" if keyword.iskeyword(name) or name == "self" else name
