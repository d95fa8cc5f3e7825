"""The U-Net with residual blocks, whose colour is made at a fraction of the side and enlarged."""

from keras import layers

from components.trainer.config import NetworkConfig, ResidualUNetConfig
from components.trainer.networks.batch_normalization import BatchNormalization
from components.trainer.networks.blocks import (
    ConvolutionBlock,
    ResidualLevel,
    UpBlock,
    activation,
    convolution,
    dropout,
)
from components.trainer.networks.initial_weights import InitialWeights
from components.trainer.networks.unet import UNet


def build_residual_unet(
    network: NetworkConfig, config: ResidualUNetConfig, *, batch_norm_momentum: float, seed: int
) -> UNet:
    """The U-Net that `ResidualUNetConfig` describes."""
    weights = InitialWeights(network, seed)

    def flat(filters: int, name: str = "convolution") -> layers.Layer:
        return convolution(filters, weights, kernel_size=3, stride=1, name=name)

    def norm(gain: str = "ones", name: str = "norm") -> layers.Layer:
        return BatchNormalization(momentum=batch_norm_momentum, gamma_initializer=gain, name=name)

    def leaky() -> layers.Layer:
        return activation("leaky_relu", network)

    downs = []
    for level, (filters, blocks) in enumerate(zip(config.down_filters, config.residual_blocks, strict=True)):
        half = convolution(filters, weights)
        places = [(f"block_{block}_{place}", place) for block in range(blocks) for place in (0, 1)]
        downs.append(
            ResidualLevel(
                half,
                norm(),
                leaky(),
                convolutions=[flat(filters, name) for name, _ in places],
                norms=[norm("zeros" if place == 1 else "ones", f"{name}_norm") for name, place in places],
                name=f"down_{level}",
            )
        )
    ups = [
        UpBlock(
            convolution(filters, weights, transposed=True),
            norm(),
            leaky(),
            dropout=dropout(config.dropout, weights) if level < config.dropout_levels else None,
            merge=ConvolutionBlock(flat(filters), norm(), leaky(), name="merge"),
            name=f"up_{level}",
        )
        for level, filters in enumerate(config.up_filters)
    ]
    color = convolution(
        network.color_channels, weights, kernel_size=3, stride=1, use_bias=True, activation="tanh", name="color"
    )
    return UNet(downs, ups, color, color_stride=config.color_stride)
