"""How a generator that takes hints is asked: with a user's, with none, or with some that are drawn for it."""

import keras
import tensorflow as tf

from components.trainer.color_bins import color_bins
from components.trainer.color_distribution import annealed_mean, color_spread
from components.trainer.config import PretrainedUNetConfig
from components.trainer.networks.blocks import enlarge
from components.trainer.networks.pretrained_unet import BINS_STRIDE, ColorPrediction

# A drawn colouring rests on so many hints, each drawn from what the ones before left open.
_DRAWN_HINTS = 4
# Draws of colours are a little sharper than the distribution: what is very unlikely is mostly wrong.
_DRAW_TEMPERATURE = 0.7

# Gray and the encoder's maps of it.
_Seen = tuple[tf.Tensor, list[tf.Tensor]]


def guided_colors(
    generator: keras.Model,
    config: PretrainedUNetConfig,
    gray: tf.Tensor,
    hints: tf.Tensor | None = None,
    *,
    mirror: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Colour gray photographs along hints.

    Args:
        generator: a `PretrainedUNet` built from `config`.
        config: says which head is served.
        gray: float32 [N, H, W, 1], in the network's numbers.
        hints: float32 [N, H, W, 3], in the network's numbers; None for none.
        mirror: whether the mirror images are asked, too.

    Returns:
        the colours in the network's numbers, float32 [N, H, W, 2], and the logits of their distribution, float32
        [N, H / 4, W / 4, bins].
    """
    return _decoded(generator, config, _encoded(generator, gray, mirror), hints)


def drawn_colors(
    generator: keras.Model, config: PretrainedUNetConfig, gray: tf.Tensor, seeds: tf.Tensor, *, mirror: bool = False
) -> tf.Tensor:
    """One of many plausible colourings of each photo, chosen by its seed: float32 [N, H, W, 2].

    A few hints are drawn one after the other: the place by how unsure its colour is, the colour from the distribution
    there, given the hints before. The network then colours along them, so that an object is of one colour.

    Args:
        generator, config, gray, mirror: as of `guided_colors`.
        seeds: int32 [N]; the colours of a photo depend on nothing but the photo and its seed.
    """
    bins = tf.constant(color_bins(config.bin_spacing))
    seen = _encoded(generator, gray, mirror)
    hints = tf.zeros(tf.concat([tf.shape(gray)[:3], [3]], axis=0))
    for number in range(_DRAWN_HINTS):
        _, logits = _decoded(generator, config, seen, hints)
        height, width = tf.unstack(tf.shape(logits)[1:3])
        is_free = tf.reduce_max(_shrunk(hints[..., 2:]), axis=-1) == 0
        unsure = tf.where(is_free, tf.math.log(color_spread(logits, bins)[..., 0] + 1e-6), -1e9)
        place = _draw(tf.reshape(2.0 * unsure, [-1, height * width]), seeds, 2 * number)
        there = tf.gather(tf.reshape(logits, [-1, height * width, len(bins)]), place, batch_dims=1)
        color = tf.gather(bins, _draw(there / _DRAW_TEMPERATURE, seeds, 2 * number + 1)) / 127.5
        cell = tf.reshape(tf.one_hot(place, height * width), [-1, height, width, 1])
        hint = cell * tf.concat([color, tf.ones_like(color[:, :1])], axis=-1)[:, None, None]
        hints += tf.repeat(tf.repeat(hint, BINS_STRIDE, axis=1), BINS_STRIDE, axis=2)
    return _decoded(generator, config, seen, hints)[0]


def _draw(logits: tf.Tensor, seeds: tf.Tensor, purpose: int) -> tf.Tensor:
    """One index a row, drawn by the row's seed alone: float32 [N, k] -> int32 [N] (the Gumbel-max trick)."""
    count = tf.shape(logits)[1]
    uniform = tf.map_fn(
        lambda seed: tf.random.stateless_uniform([count], seed=tf.stack([seed, purpose]), minval=1e-7),
        seeds,
        fn_output_signature=tf.TensorSpec([None], tf.float32),
    )
    return tf.argmax(logits - tf.math.log(-tf.math.log(uniform)), axis=1, output_type=tf.int32)


def _shrunk(photos: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(photos, BINS_STRIDE, BINS_STRIDE, "VALID")


def _mirror(photos: tf.Tensor) -> tf.Tensor:
    return tf.reverse(photos, [2])


def _encoded(generator: keras.Model, gray: tf.Tensor, mirror: bool) -> list[_Seen]:
    """The photographs and, where they are asked, their mirror images, with what the encoder sees of them."""
    photos = [gray, _mirror(gray)] if mirror else [gray]
    return [(each, generator.encode(each)) for each in photos]


def _decoded(
    generator: keras.Model, config: PretrainedUNetConfig, seen: list[_Seen], hints: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    color, logits = _served(generator.decode(*seen[0], hints), config)
    for mirrored in seen[1:]:
        others = _served(generator.decode(*mirrored, None if hints is None else _mirror(hints)), config)
        color, logits = ((one + _mirror(other)) / 2.0 for one, other in zip((color, logits), others, strict=True))
    return color, logits


def _served(prediction: ColorPrediction, config: PretrainedUNetConfig) -> tuple[tf.Tensor, tf.Tensor]:
    if not config.annealed_share:
        return prediction.color, prediction.logits
    mean = annealed_mean(prediction.logits, tf.constant(color_bins(config.bin_spacing)), config.temperature)
    annealed = enlarge(mean, BINS_STRIDE) / 127.5
    return prediction.color + config.annealed_share * (annealed - prediction.color), prediction.logits
