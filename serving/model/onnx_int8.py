"""Turns a graph of ONNX into one of eight-bit integers. Imports onnxruntime's quantization."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.model import signatures
from serving.model.silent_onnxruntime import import_onnxruntime


def quantize(file: Path, lightness: NDArray[np.float32]) -> None:
    """Replace a file of `serving_default` by one whose convolutions compute in int8 (static, per channel, QDQ).

    Args:
        file: with its weights inside.
        lightness: of photographs that show which numbers occur, float32 [N, S, S, 1].
    """
    import_onnxruntime()
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Photographs(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._squares = iter(lightness)

        def get_next(self) -> Any:
            square = next(self._squares, None)
            return None if square is None else {signatures.LIGHTNESS: square[None]}

    metadata = onnx.load(str(file), load_external_data=False).metadata_props
    folded = file.with_suffix(".folded")
    quant_pre_process(str(file), str(folded), skip_symbolic_shape=True)
    quantize_static(
        str(folded),
        str(file),
        Photographs(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )
    folded.unlink()
    made = onnx.load(str(file))
    del made.metadata_props[:]
    made.metadata_props.extend(metadata)
    onnx.save(made, str(file))
