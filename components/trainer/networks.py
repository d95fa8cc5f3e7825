"""The two networks of the conditional GAN, built from the level lists of a recipe."""

import keras
from keras import layers

from components.trainer.config import NetworkConfig
from components.trainer.spectral_normalization import SpectralConv2D, SpectralConv2DTranspose


class BatchNormalization(layers.BatchNormalization):
    """Keras' own, with moving statistics that replicas may update: each one's contribution is averaged."""

    def add_weight(self, *args, **kwargs):
        """As in Keras, but a weight that is not trained gets the aggregation that tf.distribute asks for."""
        if not kwargs.get("trainable", True):
            kwargs["aggregation"] = "mean"
        return super().add_weight(*args, **kwargs)


def build_generator(network: NetworkConfig, *, batch_norm_momentum: float, seed: int) -> keras.Model:
    """The U-Net: lightness [N, H, W, 1] in -1..1 -> colour [N, H, W, 2] in -1..1; sides multiples of its stride."""
    config = network.generator
    draws = _Draws(network, seed)
    inputs = keras.Input((None, None, 1), name="lightness")

    x, skips = inputs, []
    for level, filters in enumerate(config.down_filters):
        x = _convolution(filters, 2, config.spectral_norm_iterations, draws, name=f"down_{level}")(x)
        if level > 0:
            x = BatchNormalization(momentum=batch_norm_momentum, name=f"down_{level}_norm")(x)
        x = layers.LeakyReLU(0.2, name=f"down_{level}_relu")(x)
        skips.append(x)

    for level, (filters, skip) in enumerate(zip(config.up_filters, reversed(skips[:-1]), strict=True)):
        x = _convolution(filters, 2, config.spectral_norm_iterations, draws, name=f"up_{level}", transposed=True)(x)
        if config.batch_norm_up:
            x = BatchNormalization(momentum=batch_norm_momentum, name=f"up_{level}_norm")(x)
        if level < config.dropout_levels:
            x = layers.Dropout(config.dropout, seed=draws.seed(), name=f"up_{level}_dropout")(x)
        x = layers.ReLU(name=f"up_{level}_relu")(x)
        x = layers.Concatenate(name=f"up_{level}_skip")([x, skip])

    color = layers.Conv2DTranspose(
        2, 4, strides=2, padding="same", activation="tanh", kernel_initializer=draws.kernel(), name="color"
    )(x)
    return keras.Model(inputs, color, name="generator")


def build_discriminator(network: NetworkConfig, *, batch_norm_momentum: float, seed: int) -> keras.Model:
    """The patch discriminator: lightness [N, H, W, 1] and colour [N, H, W, 2] -> logits [N, h, w, 1], high is real."""
    config = network.discriminator
    draws = _Draws(network, seed)
    lightness = keras.Input((None, None, 1), name="lightness")
    color = keras.Input((None, None, 2), name="color")

    x = layers.Concatenate(name="photo")([lightness, color])
    levels = [(filters, 2) for filters in config.down_filters] + [(filters, 1) for filters in config.flat_filters]
    for level, (filters, stride) in enumerate(levels):
        x = _convolution(filters, stride, config.spectral_norm_iterations, draws, name=f"level_{level}")(x)
        if level > 0:
            x = BatchNormalization(momentum=batch_norm_momentum, name=f"level_{level}_norm")(x)
        x = layers.LeakyReLU(0.2, name=f"level_{level}_relu")(x)
    logits = _convolution(1, 1, config.spectral_norm_iterations, draws, name="logits", use_bias=True)(x)
    return keras.Model([lightness, color], logits, name="discriminator")


def count_parameters(model: keras.Model) -> int:
    """Weights of a network without the vectors of spectral normalisation, which are state of an estimate."""
    return sum(weight.value.shape.num_elements() for weight in model.weights if weight.name != "left_vector")


class _Draws:
    """Initialisers and seeds, each different from the last and all decided by one seed."""

    def __init__(self, network: NetworkConfig, seed: int):
        self._stddev = network.initializer_stddev
        self._next = seed * 1000

    def seed(self) -> int:
        self._next += 1
        return self._next

    def kernel(self) -> keras.initializers.Initializer:
        if self._stddev is None:
            return keras.initializers.GlorotUniform(seed=self.seed())
        return keras.initializers.RandomNormal(stddev=self._stddev, seed=self.seed())


def _convolution(
    filters: int,
    stride: int,
    power_iterations: int,
    draws: _Draws,
    *,
    name: str,
    transposed: bool = False,
    use_bias: bool = False,
) -> layers.Layer:
    """A convolution 4x4, transposed or not, under spectral normalisation or not."""
    settings = {
        "strides": stride,
        "padding": "same",
        "use_bias": use_bias,
        "kernel_initializer": draws.kernel(),
        "name": name,
    }
    if power_iterations:
        layer = SpectralConv2DTranspose if transposed else SpectralConv2D
        return layer(filters, 4, power_iterations=power_iterations, seed=draws.seed(), **settings)
    layer = layers.Conv2DTranspose if transposed else layers.Conv2D
    return layer(filters, 4, **settings)
