"""Weights in half precision: what packed generators and exports hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.errors import TintypeError


def half_precision(key: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of float32 as float16, any other as it is.

    Raises:
        TintypeError: it holds what float16 cannot.
    """
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise TintypeError(
            f"the variable {key} holds {_worst(array):g}; float16 holds numbers up to {np.finfo(np.float16).max:g}"
        )
    return half


def _worst(array: NDArray[Any]) -> float:
    """Return the number that is furthest from 0, or the first that is none."""
    strange = array[~np.isfinite(array)]
    return float(strange[0] if strange.size else array.flat[np.abs(array).argmax()])
