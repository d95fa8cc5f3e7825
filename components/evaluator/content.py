"""What an evaluation draws for a photograph follows from its pixels: it is the same in every order and company."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def content_number(square: NDArray[np.uint8]) -> int:
    """Return 64 bits of the hash of a photograph's pixels, uint8 [S, S, 3]."""
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(square).tobytes()).digest()[:8])
