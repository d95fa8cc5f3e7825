"""Hints as a user would give them, drawn from the true colours, so that a network learns to spread them."""

import math

import tensorflow as tf

from components.trainer.config import HintsConfig

# More points than this are as rare as they are useless; the matrices below have a row for each.
_MOST_POINTS = 40
# Tells these draws from those of `augmentation`.
_PURPOSE = 100


def simulate_hints(colors: tf.Tensor, config: HintsConfig, *, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Hints for a batch, after Zhang et al., "Real-Time User-Guided Image Colorization" (2017).

    A share of the photographs gets none. The others get a geometric number of square patches, anywhere, of any odd side
    up to the largest, each in the mean colour of the photograph there. (The paper draws places around the middle.)

    Args:
        colors: the true ones, float32 [n, H, W, 2] in any unit.
        config: how many, how large.
        seed, step: decide, with the replica that this runs on.

    Returns:
        float32 [n, H, W, 3]: the colours of the hints, in the same unit, and 1; 0 where there is none.
    """
    photos, height, width = tf.unstack(tf.shape(colors)[:3])
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group

    def draw(purpose: int, shape: list[tf.Tensor | int]) -> tf.Tensor:
        folded = tf.random.experimental.stateless_fold_in([seed, _PURPOSE + purpose], replica)
        return tf.random.stateless_uniform(shape, tf.random.experimental.stateless_fold_in(folded, step))

    # The number of trials up to the first success, of probability 1 / mean.
    trials = tf.math.log(1.0 - draw(0, [photos, 1])) / math.log(1.0 - 1.0 / config.mean_points)
    has_hints = draw(1, [photos, 1]) >= config.share_without
    count = tf.where(has_hints, 1.0 + tf.floor(trials), 0.0)
    exists = tf.cast(tf.range(_MOST_POINTS, dtype=tf.float32) < count, tf.float32)  # [n, points]
    reach = tf.floor(draw(2, [photos, _MOST_POINTS, 1]) * (config.largest_patch // 2 + 1))

    def along(purpose: int, length: tf.Tensor) -> tf.Tensor:
        """1 where a patch covers a row or a column: [n, points, length]."""
        middle = tf.floor(draw(purpose, [photos, _MOST_POINTS, 1]) * tf.cast(length, tf.float32))
        return tf.cast(tf.abs(tf.range(tf.cast(length, tf.float32)) - middle) <= reach, tf.float32)

    rows, columns = along(3, height), along(4, width)
    area = tf.reduce_sum(rows, axis=2) * tf.reduce_sum(columns, axis=2)
    mean = tf.einsum("nph,nhwc,npw->npc", rows, colors, columns) / area[..., None]
    values = tf.concat([mean, tf.ones_like(area)[..., None]], axis=-1) * exists[..., None]
    sums = tf.einsum("nph,npw,npc->nhwc", rows, columns, values)
    # Where patches meet, their mean.
    return tf.math.divide_no_nan(sums, sums[..., 2:])
