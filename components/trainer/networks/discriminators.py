"""The discriminators: one judges patches of a photo, one the whole photo."""

import keras
from keras import layers

from components.trainer.config import ClassifierDiscriminatorConfig, NetworkConfig, PatchDiscriminatorConfig
from components.trainer.networks.batch_normalization import BatchNormalization
from components.trainer.networks.blocks import Tensor, activation, convolution
from components.trainer.networks.initial_weights import InitialWeights


def build_patch_discriminator(
    network: NetworkConfig, config: PatchDiscriminatorConfig, *, batch_norm_momentum: float, seed: int
) -> keras.Model:
    """The judge of patches that `PatchDiscriminatorConfig` describes: [gray, colour] -> logits [N, h, w, 1]."""
    weights = InitialWeights(network, seed)
    gray, color, x = _judged_photo(network, None)
    levels = [(filters, 2) for filters in config.down_filters] + [(filters, 1) for filters in config.flat_filters]
    of_down = config.spectral_norm_iterations
    of_others = of_down if config.spectral_norm_levels == "all" else 0
    for level, (filters, stride) in enumerate(levels):
        x = convolution(
            filters,
            weights,
            stride=stride,
            use_bias=config.use_bias,
            power_iterations=of_down if stride == 2 else of_others,
            name=f"level_{level}",
        )(x)
        if config.batch_norm and level > 0:
            x = BatchNormalization(momentum=batch_norm_momentum, name=f"level_{level}_norm")(x)
        x = activation("leaky_relu", network, f"level_{level}_relu")(x)
    logits = convolution(1, weights, stride=1, use_bias=True, power_iterations=of_others, name="logits")(x)
    return keras.Model([gray, color], logits, name="discriminator")


def build_classifier_discriminator(
    network: NetworkConfig, config: ClassifierDiscriminatorConfig, *, size: int, batch_norm_momentum: float, seed: int
) -> keras.Model:
    """The judge of whole photos that `ClassifierDiscriminatorConfig` describes: [gray, colour] -> [N, 1, 1, 1]."""
    weights = InitialWeights(network, seed)
    gray, color, photo = _judged_photo(network, size)
    x = photo if config.sees_gray else color
    for level, conv in enumerate(config.convolutions):
        x = layers.Conv2D(
            conv.filters,
            conv.kernel_size,
            strides=conv.stride,
            padding=config.padding,
            kernel_initializer=weights.kernel(),
            name=f"level_{level}",
        )(x)
        if config.batch_norm and level > 0:
            x = BatchNormalization(momentum=batch_norm_momentum, name=f"level_{level}_norm")(x)
        x = activation(config.activation, network, f"level_{level}_relu")(x)
        if conv.pool:
            x = layers.MaxPooling2D(name=f"level_{level}_pool")(x)
    x = layers.Flatten(name="flat")(x)
    for index, units in enumerate(config.dense):
        x = layers.Dense(units, kernel_initializer=weights.kernel(), name=f"dense_{index}")(x)
        x = activation(config.activation, network, f"dense_{index}_relu")(x)
    logit = layers.Dense(1, kernel_initializer=weights.kernel(), name="logit")(x)
    return keras.Model([gray, color], layers.Reshape((1, 1, 1), name="logits")(logit), name="discriminator")


def _judged_photo(network: NetworkConfig, size: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs gray and colour, and both together."""
    gray = keras.Input((size, size, network.gray_channels), name="gray")
    color = keras.Input((size, size, network.color_channels), name="color")
    return gray, color, layers.Concatenate(name="photo")([gray, color])
