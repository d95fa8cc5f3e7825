"""Samples of any number of bits, with a sign or a point, become the 8 or 16 bits without either of a photograph."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.errors import PhotoError

# What white may be, where nothing says it, of whole numbers that could go on to a number of their own.
_WHITES = (255.0, 65535.0, 2.0**32 - 1)
# A little more than white is an overshoot of sharpening; it is clipped.
_OVERSHOOT = 1.05


def to_unsigned(samples: NDArray[Any], bits: Any, white: float | None) -> tuple[NDArray[Any], str | None]:
    """Scale samples to 8 or 16 bits.

    Args:
        samples: of any shape and numeric dtype.
        bits: a sample, where they are whole numbers.
        white: the number of white, of kinds that have none by themselves (floating point, 32 bits, with a sign); where
            None is given, the smallest usual one that holds all samples.

    Returns:
        uint8 or uint16 of the same shape, white at the largest number; and a note, where white was guessed.

    Raises:
        PhotoError: for floating point that is no picture's: not finite, negative, or beyond every usual white.
    """
    bits = bits if isinstance(bits, int) else max(bits)
    if samples.dtype == bool or (samples.dtype.kind == "u" and bits < 8):
        white_of = (1 << bits) - 1
        return ((samples.astype(np.uint16) * 255 + white_of // 2) // white_of).astype(np.uint8), None
    if samples.dtype in (np.uint8, np.uint16) and bits == 8 * samples.dtype.itemsize:
        return samples, None
    if samples.dtype.kind == "u" and bits < 32:  # 9 to 31 bits
        white_of = (1 << bits) - 1
        return ((samples.astype(np.uint64) * 65535 + white_of // 2) // white_of).astype(np.uint16), None
    return _scaled(samples, white)


def _scaled(samples: NDArray[Any], white: float | None) -> tuple[NDArray[np.uint16], str | None]:
    smallest, largest = float(samples.min()), float(samples.max())
    if not np.isfinite([smallest, largest]).all():
        raise PhotoError("unreadable", "some of its floating-point samples are no numbers: save it with 16 bits")
    if smallest < -0.05 * max(largest, 1):
        raise PhotoError("unreadable", f"its samples begin at {smallest:g}, below black: save it with 16 bits, from 0")
    note = None
    if white is None or largest > _OVERSHOOT * white:
        usual = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
        whites = sorted({usual, *(number for number in _WHITES if samples.dtype.kind == "f" or number < usual)})
        if samples.dtype.kind == "i" and samples.dtype.itemsize <= 2:
            whites = [number for number in whites if number in (255.0, usual)]
        white = next((number for number in whites if largest <= _OVERSHOOT * number), None)
        if white is None or (samples.dtype.kind == "f" and _OVERSHOOT < largest < 32):
            raise PhotoError(
                "unreadable", f"its samples reach {largest:g}, and nothing says what white is: save it with 16 bits"
            )
        if white != usual:
            note = f"white was taken to be {white:.0f}, as the file does not say it"
    deep = np.empty(samples.shape, np.uint16)
    for row in range(len(samples)):  # a row at a time: float64 would hold eight times the photograph
        shares = samples[row].astype(np.float64) / white
        deep[row] = (np.clip(shares, 0.0, 1.0) * 65535 + 0.5).astype(np.uint16)
    return deep, note
