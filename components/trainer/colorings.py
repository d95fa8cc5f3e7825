"""How a trained generator is asked: for its one colouring, or for one of many, chosen by a seed through dropout."""

import keras
import tensorflow as tf

from components.trainer.config import NetworkConfig, PretrainedUNetConfig, ResidualUNetConfig, UNetConfig
from components.trainer.guided_colorings import drawn_colors, guided_colors
from components.trainer.networks.unet import DropoutShape, UNet

# The colouring that a recipe which is served with dropout gives when nobody asks for a certain one.
_SEED_OF_THE_ONE = 0


def color_photos(
    generator: keras.Model, network: NetworkConfig, gray: tf.Tensor, seeds: tf.Tensor | None = None
) -> tf.Tensor:
    """Colour gray photographs; a photo's colours depend on nothing but the photo and its seed.

    Args:
        generator: built from `network`.
        network: says whether dropout stays on when the generator is asked, and whether its mirror image is, too.
        gray: float32 [N, H, W, g].
        seeds: int32 [N], the colouring that is wanted of each photo; None for the one that is served.

    Returns:
        float32 [N, H, W, c], the network's output.
    """
    config, masks = network.generator, None
    if isinstance(config, PretrainedUNetConfig):
        if seeds is None:
            return guided_colors(generator, config, gray, mirror=network.mirror)[0]
        return drawn_colors(generator, config, gray, seeds, mirror=network.mirror)
    if isinstance(config, UNetConfig | ResidualUNetConfig):  # the others have no dropout
        if seeds is None and config.varies and config.dropout_at_inference:
            seeds = tf.constant([_SEED_OF_THE_ONE])  # every photo under the same mask: one row serves all
        if seeds is not None:
            masks = dropout_masks(generator, config, tf.shape(gray)[1], tf.shape(gray)[2], seeds)
    colors = _ask(generator, gray, masks)
    if not network.mirror:
        return colors
    mirrored = _ask(generator, _mirror(gray), masks and [_mirror(mask) for mask in masks])
    return (colors + _mirror(mirrored)) / 2.0


def _ask(generator: keras.Model, gray: tf.Tensor, masks: list[tf.Tensor] | None) -> tf.Tensor:
    return generator(gray, training=False) if masks is None else generator(gray, masks=masks, training=False)


def _mirror(photos: tf.Tensor) -> tf.Tensor:
    """Left to right: [N, H, W, C]."""
    return tf.reverse(photos, [2])


def dropout_masks(
    generator: UNet,
    config: UNetConfig | ResidualUNetConfig,
    height: tf.Tensor,
    width: tf.Tensor,
    seeds: tf.Tensor,
) -> list[tf.Tensor]:
    """For each level that drops out float32 [len(seeds), h, w, filters] of 0 and 1 / (1 - dropout)."""

    def mask(shape: DropoutShape, level: int) -> tf.Tensor:
        draws = tf.map_fn(
            lambda seed: tf.random.stateless_uniform(shape, seed=tf.stack([seed, level])),
            seeds,
            fn_output_signature=tf.TensorSpec([None, None, shape[2]], tf.float32),
        )
        return tf.cast(draws >= config.dropout, tf.float32) / (1.0 - config.dropout)

    return [mask(shape, level) for level, shape in enumerate(generator.dropout_shapes(height, width))]
