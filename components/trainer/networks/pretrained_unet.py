"""The U-Net on an encoder that knows objects: EfficientNet-Lite and a decoder that hints guide."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from components.trainer.color_bins import color_bins
from components.trainer.config import NetworkConfig, PretrainedUNetConfig
from components.trainer.networks.batch_normalization import BatchNormalization
from components.trainer.networks.blocks import (
    ConvolutionBlock,
    ResidualLevel,
    Tensor,
    activation,
    convolution,
    enlarge,
)
from components.trainer.networks.efficientnet_lite import EfficientNetLite, imagenet_range
from components.trainer.networks.hint_spread import HintSpread
from components.trainer.networks.initial_weights import InitialWeights

BINS_STRIDE = 4
"""How many times smaller than the photo's the sides are at which the distribution of colour is told."""

# The encoder's maps that the decoder takes are at 1/4 to 1/32 of the photo's sides.
_FIRST_MAP = 1
# Channels of what the last level sees of the photo.
_DETAIL_FILTERS = 16

# A colour of the network's numbers, a*b* / 127.5, is this many times smaller than what the decoder reckons with.
_COLOR_SCALE = 30.0 / 127.5

# Standard deviation of the colours that stay likely, in CIE units, where a hint decides alone.
_HINTED_SPREAD = 15.0


class ColorPrediction(NamedTuple):
    """What the network makes of a batch.

    Attributes:
        color: float32 [N, H, W, c], a*b* / 127.5.
        logits: of the distribution over the bins of `color_bins`, float32 [N, H / 4, W / 4, bins].
    """

    color: Tensor
    logits: Tensor


class FineLevel(layers.Layer):
    """The last level up, at half the photo's sides: what comes from below, narrowed, and the photo's own detail.

    Args:
        narrow: a convolution 1x1 of what comes from below, before it is enlarged.
        detail: a convolution of stride 2 of the photo.
        merge: of both.
    """

    def __init__(self, narrow: layers.Layer, detail: layers.Layer, merge: ConvolutionBlock, *, name: str):
        super().__init__(name=name)
        self.narrow, self.detail, self.merge = narrow, detail, merge

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(self, x: Tensor, gray: Tensor, training: bool = False) -> Tensor:
        """[N, H / 4, W / 4, C] and [N, H, W, 1] -> [N, H / 2, W / 2, filters]."""
        parts = [enlarge(self.narrow(x), 2), self.detail(gray)]
        joined = ops.concatenate([ops.cast(part, self.compute_dtype) for part in parts], axis=-1)
        return self.merge(joined, training=training)

    @property
    def layers(self) -> list[Any]:
        """Those that hold weights, as of a `keras.Model`."""
        return [self.narrow, self.detail, self.merge]


class PretrainedUNet(keras.Model):
    """EfficientNet-Lite on the gray photo, levels up with skips, two heads, and hints that spread over what they made.

    Args:
        encoder: gives maps at 1/2 to 1/32 of the photo's sides.
        levels: of the decoder, from 1/32 to 1/4: a convolution 1x1 that merges what is there, and residual blocks.
        fine: the last level; None where the colour is made at 1/4.
        color: the convolution that makes the colour after the last level.
        bins: the convolution that makes the distribution at 1 / BINS_STRIDE.
        bin_colors: a*b* of the bins, float32 [bins, 2].
        spread: what hints change.
        dropout: after the first level; None where nothing is dropped.
        batch_statistics: whether the encoder is normalised by the batch while training, or by its moving statistics.
    """

    def __init__(
        self,
        encoder: EfficientNetLite,
        levels: Sequence[ResidualLevel],
        fine: FineLevel | None,
        color: layers.Layer,
        bins: layers.Layer,
        bin_colors: NDArray[np.float32],
        spread: HintSpread,
        *,
        dropout: layers.Layer | None,
        batch_statistics: bool,
    ):
        # The lightness is kept in 32 bits until the encoder takes it.
        super().__init__(name="generator", autocast=False)
        self.encoder, self.levels, self.fine, self.color, self.bins = encoder, list(levels), fine, color, bins
        self.dropout, self.batch_statistics = dropout, batch_statistics
        self.bin_colors, self.spread = bin_colors, spread

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(
        self,
        gray: Tensor,
        hints: Tensor | None = None,
        maps: Sequence[Tensor] | None = None,
        training: bool = False,
        encoder_learns: bool = True,
    ) -> ColorPrediction:
        """Colour a batch.

        Args:
            gray: L* / 50 - 1, float32 [N, H, W, 1]; the sides are multiples of 32.
            hints: a*b* / 127.5 and 1 where a pixel has a hint, else 0, float32 [N, H, W, 3]; None for no hints.
            maps: what `encode` made of gray, where it is kept.
            training: normalise the decoder by the batch.
            encoder_learns: whether gradients reach the encoder.
        """
        if maps is None:
            maps = self.encode(gray, training=training and encoder_learns and self.batch_statistics)
        if not encoder_learns:
            maps = [ops.stop_gradient(each) for each in maps]
        return self.decode(gray, maps, hints, training=training)

    def encode(self, gray: Tensor, training: bool = False) -> list[Tensor]:
        """What the encoder sees in gray [N, H, W, 1]: maps at 1/4 to 1/32 of its sides. Hints do not change it."""
        seen = self.encoder(imagenet_range(ops.repeat(_srgb_of(gray), 3, axis=-1)), training=training)
        return list(seen[_FIRST_MAP:])

    def decode(
        self, gray: Tensor, maps: Sequence[Tensor], hints: Tensor | None = None, training: bool = False
    ) -> ColorPrediction:
        """Colour gray [N, H, W, 1] by what the encoder saw in it, along hints [N, H, W, 3] if any."""
        x = None
        for number, (level, seen) in enumerate(zip(self.levels, maps[::-1], strict=True)):
            parts = [seen] if x is None else [enlarge(x, 2), seen]
            x = level(ops.concatenate([ops.cast(part, level.compute_dtype) for part in parts], -1), training=training)
            if number == 0 and self.dropout is not None:
                x = self.dropout(x, training=training)
        logits = self.bins(x)
        if self.fine is None:
            color = enlarge(self.color(x), BINS_STRIDE) * _COLOR_SCALE
        else:
            color = enlarge(self.color(self.fine(x, gray, training=training)), BINS_STRIDE // 2) * _COLOR_SCALE
        if hints is None:
            return ColorPrediction(color, logits)
        return self._guided(x, color, logits, hints, training=training)

    def _guided(self, x: Tensor, color: Tensor, logits: Tensor, hints: Tensor, *, training: bool) -> ColorPrediction:
        """Both heads' answers where hints are heard: the nearer a bin to the colour that they lead to, the likelier."""
        small = ops.average_pool(color, BINS_STRIDE, BINS_STRIDE) / _COLOR_SCALE
        pooled = ops.average_pool(hints, BINS_STRIDE, BINS_STRIDE)
        wanted = pooled[..., :2] / ops.maximum(pooled[..., 2:], 1e-9) / _COLOR_SCALE
        asked = ops.concatenate([wanted, pooled[..., 2:]], axis=-1)
        added, trust = self.spread(x, small, asked, training=training)
        guided = (small + added)[..., None, :] * (_COLOR_SCALE * 127.5)
        far = ops.sum(ops.square((guided - self.bin_colors) / _HINTED_SPREAD), axis=-1)
        return ColorPrediction(color + enlarge(added, BINS_STRIDE) * _COLOR_SCALE, logits - 0.5 * trust * far)


def _srgb_of(gray: Tensor) -> Tensor:
    """L* / 50 - 1 -> the sRGB value of that neutral, 0..1 (CIE 15:2004 and IEC 61966-2-1)."""
    lightness = (gray + 1.0) * 50.0
    luminance = ops.where(lightness > 8.0, ((lightness + 16.0) / 116.0) ** 3, lightness * (27.0 / 24389.0))
    curved = 1.055 * ops.exp(ops.log(ops.maximum(luminance, 0.0031308)) / 2.4) - 0.055
    return ops.where(luminance <= 0.0031308, 12.92 * luminance, curved)


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
            activation("relu", network),
            convolutions=[convolution(filters, weights, kernel_size=3, stride=1, name=name) for name, _ in places],
            norms=[norm("zeros" if place == 1 else "ones", f"{name}_norm") for name, place in places],
            name=f"level_{number}",
        )

    def fine(filters: int) -> FineLevel:
        merge = ConvolutionBlock(
            convolution(filters, weights, kernel_size=3, stride=1), norm(), activation("relu", network), name="merge"
        )
        narrow = convolution(filters, weights, kernel_size=1, stride=1, use_bias=True, name="narrow")
        detail = convolution(_DETAIL_FILTERS, weights, kernel_size=3, use_bias=True, name="detail")
        return FineLevel(narrow, detail, merge, name="fine")

    def head(filters: int, name: str) -> layers.Layer:
        """In 32 bits, whatever the others compute in."""
        kernel: Any = weights.kernel()
        return layers.Conv2D(filters, 1, kernel_initializer=kernel, dtype="float32", name=name)

    bin_colors = color_bins(config.bin_spacing)
    # Convolutions of single channels learn twice as fast in 32 bits as in 16 on a CPU with AMX, the others slower.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    encoder = EfficientNetLite(width=config.encoder_width, depth=config.encoder_depth, seed=seed)
    keras.config.set_dtype_policy(policy)
    return PretrainedUNet(
        encoder,
        [level(number, filters) for number, filters in enumerate(config.decoder_filters)],
        fine(config.fine_filters) if config.fine_filters else None,
        head(network.color_channels, "color"),
        head(len(bin_colors), "bins"),
        bin_colors,
        HintSpread(norm(), config.decoder_filters[-1], name="spread"),
        dropout=layers.SpatialDropout2D(config.dropout, seed=weights.seed(), name="dropout")
        if config.dropout
        else None,
        batch_statistics=config.batch_statistics,
    )
