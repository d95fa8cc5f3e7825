"""Loads a SavedModel's signatures, ready to be called. Imports TensorFlow."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, SignatureDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from serving.model.plain_path import plain_path
from serving.model.session_model import INIT_OPERATION, SessionModel, Signature
from serving.model.version_folders import SAVED_MODEL_FILE, SAVED_MODEL_TEXT_FILE

_SERVE_TAG = "serve"


class LoadedModel:
    """The signatures of one SavedModel, to be called from any number of threads.

    Args:
        folder: holds `saved_model.pb` or `saved_model.pbtxt`, on any file system TensorFlow knows; its graph tagged
            `serve` is loaded.

    Attributes:
        signature_defs: the signatures as they stand in the file, by name.
        signatures: the signatures to call, by name.
        input_dtypes: by the signature's name, the dtypes of its inputs by theirs.

    Raises:
        ValueError: the file is no SavedModel, or has no graph tagged `serve`.
        tf.errors.OpError, OSError: the file or its variables cannot be read.
    """

    def __init__(self, folder: str):
        graph = _serving_graph(_read(folder), folder)
        # Copies: a part of a message keeps all of it in memory, the graph too.
        self.signature_defs: dict[str, SignatureDef] = {
            name: SignatureDef.FromString(signature.SerializeToString())
            for name, signature in graph.signature_def.items()
            if name != INIT_OPERATION
        }
        # The functions do not own their variables: the loaded object must live as long as they do.
        if graph.HasField("object_graph_def"):
            with plain_path(folder) as plain:
                self._loaded = tf.saved_model.load(plain, tags=[_SERVE_TAG])
            self.signatures: dict[str, Signature] = {
                name: partial(_call, function) for name, function in self._loaded.signatures.items()
            }
            self.input_dtypes = {
                name: {key: tf.as_dtype(info.dtype) for key, info in signature.inputs.items()}
                for name, signature in self.signature_defs.items()
            }
        else:  # made by TensorFlow 1
            with plain_path(folder) as plain:
                self._loaded = SessionModel(plain, graph)
            self.signatures, self.input_dtypes = self._loaded.signatures, self._loaded.input_dtypes


def _read(folder: str) -> SavedModel:
    binary, text = (f"{folder.rstrip('/')}/{name}" for name in (SAVED_MODEL_FILE, SAVED_MODEL_TEXT_FILE))
    path = binary if tf.io.gfile.exists(binary) or not tf.io.gfile.exists(text) else text
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        if path == binary:
            return SavedModel.FromString(content)
        return text_format.Parse(content, SavedModel())
    except Exception as error:  # protobuf's DecodeError has no common base in all of its implementations
        raise ValueError(f"{path} is not a SavedModel: {error}") from error


def _serving_graph(saved_model: Any, folder: str) -> MetaGraphDef:
    for meta_graph in saved_model.meta_graphs:
        if _SERVE_TAG in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError(f"{folder} has no graph tagged {_SERVE_TAG!r}; it is not a SavedModel made for serving")


def _call(function: Any, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    outputs: dict[str, tf.Tensor] = function(**inputs)
    return outputs
