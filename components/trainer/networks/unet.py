"""The U-Net: levels down, levels up with skips, and the colour."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from components.trainer.config import NetworkConfig, UNetConfig
from components.trainer.networks.batch_normalization import BatchNormalization
from components.trainer.networks.blocks import (
    ConvolutionBlock,
    Tensor,
    UpBlock,
    activation,
    convolution,
    dropout,
    enlarge,
)
from components.trainer.networks.initial_weights import InitialWeights

# Height, width and channels.
DropoutShape = tuple[Tensor, Tensor, int]


class UNet(keras.Model):
    """Levels down, levels up with skips, and the colour: gray [N, H, W, g] -> colour [N, H, W, c] in -1..1.

    Args:
        downs: each halves the sides.
        ups: each doubles the sides and takes the output of the level down of the same sides as its skip.
        color: the last convolution.
        stem: a block that opens the network at full size; its output is the last skip.
        color_stride: how many times smaller than the photo's the sides are at which the colour is made.
    """

    def __init__(
        self,
        downs: Sequence[layers.Layer],
        ups: Sequence[UpBlock],
        color: layers.Layer,
        *,
        stem: ConvolutionBlock | None = None,
        color_stride: int = 1,
    ):
        super().__init__(name="generator")
        self.stem, self.downs, self.ups, self.color = stem, list(downs), list(ups), color
        self.color_stride = color_stride

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(self, gray: Tensor, masks: Sequence[Tensor] | None = None, training: bool = False) -> Tensor:
        """Colour a batch.

        Args:
            gray: float32 [N, H, W, g]; the sides are multiples of the recipe's stride.
            masks: in place of random dropout, a factor for each level that drops out: float32 tensors of the
                shapes that `dropout_shapes` tells, with a first axis of N or 1.
            training: drop out at random and normalise by the batch.
        """
        x, skips = gray, []
        for block in [self.stem, *self.downs] if self.stem else self.downs:
            x = block(x, training=training)
            skips.append(x)
        for level, block in enumerate(self.ups):
            mask = masks[level] if masks is not None and block.dropout is not None else None
            x = block(x, skips[-2 - level], mask, training=training)
        return enlarge(self.color(x), self.color_stride)

    def dropout_shapes(self, height: Tensor, width: Tensor) -> list[DropoutShape]:
        """Shapes (height, width, channels) of the levels that drop out, for a photo of these sides."""
        shapes = []
        for level, block in enumerate(self.ups):
            shrunk = 2 ** (len(self.downs) - level - 1)
            if block.dropout is not None:
                shapes.append((height // shrunk, width // shrunk, block.convolution.filters))
        return shapes


def build_unet(network: NetworkConfig, config: UNetConfig, *, batch_norm_momentum: float, seed: int) -> UNet:
    """The U-Net of a list of levels, as `UNetConfig` describes it."""
    weights = InitialWeights(network, seed)

    def level(filters: int, *, transposed: bool = False) -> layers.Layer:
        return convolution(
            filters,
            weights,
            kernel_size=config.kernel_size,
            transposed=transposed,
            use_bias=config.use_bias,
            power_iterations=config.spectral_norm_iterations,
        )

    def norm(wanted: bool) -> layers.Layer:
        if not wanted:
            return layers.Identity(name="norm")
        return BatchNormalization(
            momentum=batch_norm_momentum,
            name="norm",
            photo_statistics_at_inference=config.photo_statistics_at_inference,
        )

    stem = None
    if config.stem_filters is not None:
        full_size = convolution(config.stem_filters, weights, kernel_size=1, stride=1, use_bias=True)
        stem = ConvolutionBlock(full_size, norm(False), activation("leaky_relu", network), name="stem")
    downs, last = [], len(config.down_filters) - 1
    for place, filters in enumerate(config.down_filters):
        has_norm = (place > 0 or stem is not None) and (place < last or config.batch_norm_bottleneck)
        kind = config.bottleneck_activation if place == last else "leaky_relu"
        downs.append(ConvolutionBlock(level(filters), norm(has_norm), activation(kind, network), name=f"down_{place}"))
    ups = [
        UpBlock(
            level(filters, transposed=True),
            norm(config.batch_norm_up),
            activation(config.up_activation, network),
            dropout=dropout(config.dropout, weights) if place < config.dropout_levels else None,
            activate_after_skip=config.activate_after_skip,
            name=f"up_{place}",
        )
        for place, filters in enumerate(config.up_filters)
    ]
    color = convolution(
        network.color_channels,
        weights,
        kernel_size=config.kernel_size if stem is None else 1,
        stride=2 if stem is None else 1,
        transposed=stem is None,
        use_bias=True,
        activation="tanh",
        name="color",
    )
    return UNet(downs, ups, color, stem=stem)
