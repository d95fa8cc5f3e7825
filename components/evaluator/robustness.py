"""Old photographs in an evaluation: the gray that a model sees is aged, the colours that it should find are not."""

import numpy as np
from numpy.typing import NDArray

from components.evaluator.content import content_number
from components.trainer.config import AgingConfig
from photo.aging import age
from photo.color import rgb_to_lightness


def aged_lightness(squares: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """The lightness of photographs that have been through what training calls aging, each effect by its default share.

    How a photograph ages follows from the seed and its own content, so it is the same in every order and company.

    Args:
        squares: sRGB, uint8 [N, S, S, 3].
        seed: not negative.

    Returns:
        L*, float32 [N, S, S], 0..100.
    """
    chances = AgingConfig().chances()
    return np.stack([rgb_to_lightness(_aged(square, chances, seed)) for square in squares])


def _aged(square: NDArray[np.uint8], chances: dict[str, float], seed: int) -> NDArray[np.uint8]:
    gray = age(square, chances, np.random.default_rng((seed, content_number(square)))).gray
    return np.repeat(gray[..., None], 3, axis=-1)
