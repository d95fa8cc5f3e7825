"""Writes a SavedModel in another engine's format, then asks both about real photographs. Imports TensorFlow."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.errors import TintypeError
from photo.whole_file import whole_folder
from serving.model import signatures
from serving.model.litert_export import LITERT_SUFFIX, export_litert, litert_predict
from serving.model.onnx_export import export_onnx
from serving.model.onnx_int8 import quantize
from serving.model.onnx_model import OnnxModel
from serving.model.plain_path import plain_path

Predict = Callable[[str, Mapping[str, NDArray[Any]]], NDArray[np.float32]]


class Format(StrEnum):
    """Whose format a model is written in."""

    ONNX = "onnx"
    LITERT = "litert"
    SAVED_MODEL = "saved_model"


class Precision(StrEnum):
    """What the weights are stored as; with int8 what passes between the layers, too."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


LARGEST_DIFFERENCE = {Precision.FLOAT32: 0.05, Precision.FLOAT16: 0.5}
"""By precision, how far a colour may be from the SavedModel's, in a* or b*; int8 is only measured."""


@dataclass(frozen=True)
class Checked:
    """How one signature of an export compares with the SavedModel's.

    Attributes:
        signature: its name.
        largest: difference in a* or b*, over all photographs, CIE units.
        decibels: 10 log10(255^2 / mean squared difference of a*b*).
    """

    signature: str
    largest: float
    decibels: float


def export_model(
    model_dir: str,
    out: Path,
    format: Format,
    precision: Precision,
    *,
    squares: NDArray[np.float32],
    calibration: NDArray[np.float32] | None = None,
) -> list[Checked]:
    """Write a model; nothing stays where it does not colour as the SavedModel does.

    Args:
        model_dir: the folder of saved_model.pb.
        out: the folder to make.
        format: the engine's.
        precision: of the weights.
        squares: lightness of photographs to compare on, float32 [N, S, S, 1], S the model's side.
        calibration: of those that say which numbers occur, for int8; as `squares`.

    Returns:
        For each signature that was written how it compares.

    Raises:
        TintypeError: the model cannot be written so, or colours otherwise then.
    """
    from serving.model.saved_colorizer import SavedColorizer

    if precision is Precision.INT8 and (format is not Format.ONNX or calibration is None):
        raise TintypeError("int8 is for the format onnx, and needs photographs for its calibration")
    if format is Format.SAVED_MODEL and precision is not Precision.FLOAT32:
        raise TintypeError("a SavedModel computes in float32; the formats onnx and litert have other precisions")
    saved = SavedColorizer(model_dir)
    try:
        with whole_folder(out) as folder:
            predict, names = _written(model_dir, folder, format, precision, calibration)
            checked = [_checked(name, saved, predict, squares) for name in names]
            limit = LARGEST_DIFFERENCE.get(precision)
            for each in checked:
                if limit is not None and not each.largest <= limit:
                    raise TintypeError(
                        f"{each.signature} in {format} gives colours {each.largest:.2g} away from the SavedModel's in "
                        f"a* or b*; {precision} allows {limit:g}"
                    )
    except OSError as error:
        raise TintypeError(f"cannot write {out}: {error.strerror or error}") from error
    return checked


def _written(
    model_dir: str, folder: Path, format: Format, precision: Precision, calibration: NDArray[np.float32] | None
) -> tuple[Predict, Sequence[str]]:
    """Write into a folder; return how to ask what is there, and its signatures."""
    if format is Format.LITERT:
        file = folder / f"{signatures.COLORIZE}{LITERT_SUFFIX}"
        file.write_bytes(export_litert(model_dir, half=precision is Precision.FLOAT16))
        return lambda _, inputs: litert_predict(file, inputs[signatures.LIGHTNESS]), (signatures.COLORIZE,)
    if format is Format.SAVED_MODEL:
        from serving.model.saved_colorizer import SavedColorizer

        with plain_path(model_dir) as plain:
            shutil.copytree(plain, folder, dirs_exist_ok=True)
        copy = SavedColorizer(str(folder))
        return lambda _, inputs: copy.predict_ab(inputs[signatures.LIGHTNESS]), (signatures.COLORIZE,)
    if precision is Precision.INT8:
        assert calibration is not None
        [file] = export_onnx(model_dir, folder / f"{signatures.COLORIZE}.onnx")
        quantize(file, calibration)
    else:
        export_onnx(model_dir, folder, half=precision is Precision.FLOAT16)
    model = OnnxModel(folder)
    return (lambda name, inputs: model.predict(name, inputs, [signatures.AB])[signatures.AB]), model.signatures


def _checked(name: str, saved: Any, predict: Predict, squares: NDArray[np.float32]) -> Checked:
    hints = _hints(squares.shape) if name == signatures.GUIDED else None
    largest, squared = 0.0, []
    for index in range(len(squares)):
        one = squares[index : index + 1]
        inputs = {signatures.LIGHTNESS: one}
        if hints is not None:
            inputs[signatures.HINTS] = hints
        difference = predict(name, inputs) - saved.predict_ab(one, hints)
        largest = max(largest, float(np.abs(difference).max()))
        squared.append(float(np.square(difference).mean()))
    if not np.isfinite(largest) or not np.isfinite(squared).all():
        return Checked(name, float("nan"), float("nan"))
    return Checked(name, largest, float(10 * np.log10(255**2 / max(float(np.mean(squared)), 1e-12))))


def _hints(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return one hint in the middle: float32 [1, S, S, 3]."""
    side = shape[1]
    hints = np.zeros((1, side, side, 3), np.float32)
    hints[0, side // 2 : side // 2 + 4, side // 2 : side // 2 + 4] = (30.0, 20.0, 1.0)
    return hints
