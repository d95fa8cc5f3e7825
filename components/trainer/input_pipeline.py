"""Decoded squares -> endless batches, each a pure function of the seed and of the step it is for.

A run that is resumed at some step therefore sees exactly what it would have seen, and nothing of the data's state has
to be kept.
"""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.trainer.augmentation import crop_and_flip, with_aged_gray
from components.trainer.config import AugmentationConfig

# Tell apart what the seed is used for.
_ORDER, _AUGMENTATION, _AGING = 0, 1, 2


def training_batches(
    photos: NDArray[np.uint8],
    *,
    size: int,
    batch_size: int,
    augmentation: AugmentationConfig,
    seed: int,
    first_step: int = 0,
    shares: Sequence[tuple[int, int]] | None = None,
    weights: NDArray[np.float64] | None = None,
    with_replacement: bool = False,
) -> tf.data.Dataset:
    """Endless batches uint8 [n, size, size, 3]: shuffled anew in every epoch, cropped and mirrored by the seed.

    With `augmentation.aging` they have a fourth channel: the value of the gray that the network sees.

    Args:
        photos: uint8 [photos, side, side, 3], the side at least `size`.
        size: side of the crops, in pixels.
        batch_size: photographs of one step, over all replicas.
        augmentation: how crops are drawn, which are mirrored, and how their gray ages.
        seed: decides everything.
        first_step: the step, counted from 0, that the first batch is for.
        shares: the rows (first, end) of each step's batch that the consumers of this dataset get, one element for
            each; all rows in one element without it.
        weights: float64 [photos], not negative: how often each photograph is drawn, in proportion. In an epoch, which
            is as many draws as there are photographs, each comes as often as its share says, rounded up or down by
            the seed. Without them each comes once.
        with_replacement: every draw is from all photographs, by the same shares; an epoch may show one twice and leave
            out another.
    """
    shares = shares or [(0, batch_size)]

    @functools.lru_cache(maxsize=4)  # a batch, and those fetched ahead, may lie across two epochs
    def order(epoch: int) -> NDArray[np.int64]:
        draws = np.random.default_rng((seed, _ORDER, epoch))
        return _independent(len(photos), weights, draws) if with_replacement else _order(len(photos), weights, draws)

    def load(index: np.int64) -> NDArray[np.uint8]:
        step, share = divmod(int(index), len(shares))
        first, end = shares[share]
        rows = range(step * batch_size + first, step * batch_size + end)
        return np.stack([square(row) for row in rows])

    def square(row: int) -> NDArray[np.uint8]:
        epoch, place = divmod(row, len(photos))
        return _square(photos[order(epoch)[place]], row, size, augmentation, seed)

    def batch(index: tf.Tensor) -> tf.Tensor:
        squares = tf.numpy_function(load, [index], tf.uint8)
        squares.set_shape([None, size, size, 4 if augmentation.aging else 3])
        return squares

    indices = tf.data.Dataset.counter(first_step * len(shares))
    return indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _square(
    photo: NDArray[np.uint8], row: int, size: int, augmentation: AugmentationConfig, seed: int
) -> NDArray[np.uint8]:
    """The square that a photograph becomes in one row of the endless sequence."""
    square = crop_and_flip(photo, size, augmentation, np.random.default_rng((seed, _AUGMENTATION, row)))
    if augmentation.aging is None:
        return square
    return with_aged_gray(square, augmentation.aging, np.random.default_rng((seed, _AGING, row)))


def _independent(count: int, weights: NDArray[np.float64] | None, draws: np.random.Generator) -> NDArray[np.int64]:
    """The places of as many photographs as there are, each drawn from all."""
    return draws.choice(count, size=count, p=None if weights is None else weights / weights.sum())


def _order(count: int, weights: NDArray[np.float64] | None, draws: np.random.Generator) -> NDArray[np.int64]:
    """The places of one epoch's photographs; by weights a systematic sample (Madow 1949) of a shuffled collection."""
    shuffled = draws.permutation(count)
    if weights is None:
        return shuffled
    ends = np.cumsum(weights[shuffled])
    ends *= count / ends[-1]
    drawn = np.searchsorted(ends, np.arange(count) + draws.random(), side="right")
    return draws.permutation(shuffled[np.minimum(drawn, count - 1)])
