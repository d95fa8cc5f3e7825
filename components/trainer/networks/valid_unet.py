"""The U-Net that shrinks by its convolutions' borders alone."""

from typing import Any

import keras
from keras import layers

from components.trainer.config import ConvolutionConfig, NetworkConfig, ValidUNetConfig
from components.trainer.networks.blocks import activation
from components.trainer.networks.initial_weights import InitialWeights


def build_valid_unet(network: NetworkConfig, config: ValidUNetConfig, *, seed: int) -> keras.Model:
    """The U-Net that `ValidUNetConfig` describes: gray [N, H, W, g] -> colour [N, H, W, c]."""
    weights = InitialWeights(network, seed)

    def convolution(
        conv: ConvolutionConfig, name: str, layer: type[layers.Layer] = layers.Conv2D, **settings: Any
    ) -> layers.Layer:
        return layer(conv.filters, conv.kernel_size, kernel_initializer=weights.kernel(), name=name, **settings)

    inputs = keras.Input((None, None, network.gray_channels), name="gray")
    x, skips = inputs, []
    for block, convolutions in enumerate(config.down_blocks):
        for index, conv in enumerate(convolutions):
            x = convolution(conv, f"down_{block}_{index}")(x)
            x = activation("leaky_relu", network, f"down_{block}_{index}_relu")(x)
        skips.append(x)
    x = convolution(config.bottleneck, "bottleneck", padding="same", activation="tanh")(x)
    for block, convolutions in enumerate(config.up_blocks):
        x = layers.Concatenate(name=f"up_{block}_skip")([x, skips.pop()])
        for index, conv in enumerate(convolutions):
            x = convolution(conv, f"up_{block}_{index}", layers.Conv2DTranspose, activation="relu")(x)
    color = layers.Conv2DTranspose(
        network.color_channels,
        config.color_kernel_size,
        activation=config.output_activation,
        kernel_initializer=weights.kernel(),
        name="color",
    )(x)
    return keras.Model(inputs, color, name="generator")
