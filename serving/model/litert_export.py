"""Writes a SavedModel's colouring in LiteRT's format, and asks it. Imports TensorFlow, whose converter it takes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.errors import TintypeError
from serving.model import signatures
from serving.model.plain_path import plain_path

LITERT_SUFFIX = ".tflite"


def export_litert(model_dir: str, *, half: bool = False) -> bytes:
    """Return `serving_default` as a file of LiteRT, with any number and sides of photographs.

    `guided` is not carried: TensorFlow's converter does not translate its slices.

    Args:
        model_dir: the folder of saved_model.pb.
        half: the weights are stored as float16.

    Raises:
        TintypeError: the model holds what has no counterpart in LiteRT.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with plain_path(model_dir) as plain:
        loaded = tf.saved_model.load(plain)
    # Frozen: the converter's own reading of a SavedModel leaves the variables out.
    frozen = convert_variables_to_constants_v2(loaded.signatures[signatures.COLORIZE], lower_control_flow=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        converted: bytes = converter.convert()
    except Exception as error:  # the converter has kinds of its own
        words = str(error).strip().splitlines()[0]
        raise TintypeError(f"the model in {model_dir} cannot be converted to LiteRT: {words}") from error
    return converted


def litert_predict(file: Path, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ask a file of LiteRT for the a*b* of lightness [N, H, W, 1]: float32 [N, H, W, 2]."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_path=str(file))
    [taken], [given] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(taken["index"], lightness.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], lightness)
    interpreter.invoke()
    ab: NDArray[np.float32] = interpreter.get_tensor(given["index"])
    return ab
