"""The U-Net on an encoder that knows objects: EfficientNet-Lite and a decoder that hints guide."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from components.trainer.color_bins import color_bins
from components.trainer.config import NetworkConfig, PretrainedUNetConfig
from components.trainer.networks.batch_normalization import BatchNormalization
from components.trainer.networks.blocks import (
    ResidualLevel,
    Tensor,
    activation,
    convolution,
    enlarge,
)
from components.trainer.networks.efficientnet_lite import EfficientNetLite, imagenet_range
from components.trainer.networks.initial_weights import InitialWeights

BINS_STRIDE = 4
"""How many times smaller than the photo's the sides are at which the distribution of colour is told."""

# A colour of the network's numbers, a*b* / 127.5, is this many times smaller than what the decoder reckons with.
_COLOR_SCALE = 30.0 / 127.5


class ColorPrediction(NamedTuple):
    """What the network makes of a batch.

    Attributes:
        color: float32 [N, H, W, c], a*b* / 127.5.
        logits: of the distribution over the bins of `color_bins`, float32 [N, H / 4, W / 4, bins].
    """

    color: Tensor
    logits: Tensor


class PretrainedUNet(keras.Model):
    """EfficientNet-Lite on the gray photo, levels up with skips and hints, and two heads.

    Args:
        encoder: gives maps at 1/2 to 1/32 of the photo's sides.
        levels: of the decoder, from 1/32 up: a convolution 1x1 that merges what is there, and its residual blocks.
        color: the convolution that makes the colour after the last level.
        bins: the convolution that makes the distribution after the level at 1 / BINS_STRIDE.
        dropout: after the first level; None where nothing is dropped.
        batch_statistics: whether the encoder is normalised by the batch while training, or by its moving statistics.
    """

    def __init__(
        self,
        encoder: EfficientNetLite,
        levels: Sequence[ResidualLevel],
        color: layers.Layer,
        bins: layers.Layer,
        *,
        dropout: layers.Layer | None,
        batch_statistics: bool,
    ):
        # The lightness is kept in 32 bits until the encoder takes it.
        super().__init__(name="generator", autocast=False)
        self.encoder, self.levels, self.color, self.bins = encoder, list(levels), color, bins
        self.dropout, self.batch_statistics = dropout, batch_statistics

    def call(
        self, gray: Tensor, hints: Tensor | None = None, training: bool = False, encoder_learns: bool = True
    ) -> ColorPrediction:
        """Colour a batch.

        Args:
            gray: L* / 50 - 1, float32 [N, H, W, 1]; the sides are multiples of 32.
            hints: a*b* / 127.5 and 1 where a pixel has a hint, else 0, float32 [N, H, W, 3]; None for no hints.
            training: normalise the decoder by the batch.
            encoder_learns: whether gradients reach the encoder.
        """
        maps = self.encode(gray, training=training and encoder_learns and self.batch_statistics)
        if not encoder_learns:
            maps = [ops.stop_gradient(each) for each in maps]
        return self.decode(maps, ops.zeros_like(ops.repeat(gray, 3, -1)) if hints is None else hints, training=training)

    def encode(self, gray: Tensor, training: bool = False) -> list[Tensor]:
        """What the encoder sees in gray [N, H, W, 1], finest first; hints do not change it."""
        maps: list[Tensor] = self.encoder(imagenet_range(ops.repeat(_srgb_of(gray), 3, axis=-1)), training=training)
        return maps

    def decode(self, maps: Sequence[Tensor], hints: Tensor, training: bool = False) -> ColorPrediction:
        """Colour what the encoder saw, guided by hints [N, H, W, 3]."""
        pyramid = _hint_pyramid(hints, len(maps))
        x = logits = None
        for number, level in enumerate(self.levels):
            place = len(maps) - 1 - number
            parts = [maps[place], pyramid[place]] if x is None else [enlarge(x, 2), maps[place], pyramid[place]]
            x = level(ops.concatenate([ops.cast(part, level.compute_dtype) for part in parts], -1), training=training)
            if number == 0 and self.dropout is not None:
                x = self.dropout(x, training=training)
            if 2 << place == BINS_STRIDE:
                logits = self.bins(x)
        stride = 2 << (len(maps) - len(self.levels))
        return ColorPrediction(enlarge(self.color(x), stride) * _COLOR_SCALE, logits)


def _srgb_of(gray: Tensor) -> Tensor:
    """L* / 50 - 1 -> the sRGB value of that neutral, 0..1 (CIE 15:2004 and IEC 61966-2-1)."""
    lightness = (gray + 1.0) * 50.0
    luminance = ops.where(lightness > 8.0, ((lightness + 16.0) / 116.0) ** 3, lightness * (27.0 / 24389.0))
    curved = 1.055 * ops.exp(ops.log(ops.maximum(luminance, 0.0031308)) / 2.4) - 0.055
    return ops.where(luminance <= 0.0031308, 12.92 * luminance, curved)


def _hint_pyramid(hints: Tensor, levels: int) -> list[Tensor]:
    """Hints at 1/2, 1/4, ... of the sides: their mean colour, whether there is one, and on which share.

    Args:
        hints: [N, H, W, 3], as `PretrainedUNet.call` takes them.
        levels: how many.

    Returns:
        for each level [N, h, w, 4].
    """
    pyramid, pooled = [], hints
    for _ in range(levels):
        pooled = ops.average_pool(pooled, 2, 2)
        share = pooled[..., 2:]
        color = pooled[..., :2] / ops.maximum(share, 1e-9) / _COLOR_SCALE
        pyramid.append(ops.concatenate([color, ops.cast(share > 0, share.dtype), share], axis=-1))
    return pyramid


def build_pretrained_unet(
    network: NetworkConfig, config: PretrainedUNetConfig, *, batch_norm_momentum: float, seed: int
) -> PretrainedUNet:
    """The network that `PretrainedUNetConfig` describes, with weights drawn by the seed."""
    weights = InitialWeights(network, seed)

    def norm(gain: str = "ones", name: str = "norm") -> layers.Layer:
        return BatchNormalization(momentum=batch_norm_momentum, gamma_initializer=gain, name=name)

    def level(number: int, filters: int) -> ResidualLevel:
        merge = convolution(filters, weights, kernel_size=1, stride=1)
        places = [(f"block_{block}_{place}", place) for block in range(config.residual_blocks) for place in (0, 1)]
        return ResidualLevel(
            merge,
            norm(),
            activation("relu"),
            convolutions=[convolution(filters, weights, kernel_size=3, stride=1, name=name) for name, _ in places],
            norms=[norm("zeros" if place == 1 else "ones", f"{name}_norm") for name, place in places],
            name=f"level_{number}",
        )

    def head(filters: int, name: str) -> layers.Layer:
        """In 32 bits, whatever the others compute in."""
        kernel: Any = weights.kernel()
        return layers.Conv2D(filters, 1, kernel_initializer=kernel, dtype="float32", name=name)

    # Convolutions of single channels learn twice as fast in 32 bits as in 16 on a CPU with AMX, the others slower.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    encoder = EfficientNetLite(width=config.encoder_width, depth=config.encoder_depth, seed=seed)
    keras.config.set_dtype_policy(policy)
    return PretrainedUNet(
        encoder,
        [level(number, filters) for number, filters in enumerate(config.decoder_filters)],
        head(network.color_channels, "color"),
        head(len(color_bins(config.bin_spacing)), "bins"),
        dropout=layers.SpatialDropout2D(config.dropout, seed=weights.seed(), name="dropout")
        if config.dropout
        else None,
        batch_statistics=config.batch_statistics,
    )
