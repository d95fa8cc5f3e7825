"""Photographs of 16 bits a channel, rounded to 8."""

import numpy as np
from numpy.typing import NDArray


def to_eight_bits(deep: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Round 16 bits to the nearest 8: uint16 [...] with white at 65535 -> uint8 [...] with white at 255."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
