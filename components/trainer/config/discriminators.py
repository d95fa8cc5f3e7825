"""`network.discriminator`: the kinds of discriminators."""

from typing import Literal

from pydantic import Field

from components.trainer.config.convolutions import ConvolutionConfig
from components.trainer.config.section import Activation, Filters, Section


class PatchDiscriminatorConfig(Section):
    """A discriminator that judges patches: levels 4x4 of stride 2, then of stride 1, then one channel of logits."""

    kind: Literal["patch"] = "patch"
    down_filters: tuple[Filters, ...] = Field(min_length=1, description="channels of each level of stride 2")
    flat_filters: tuple[Filters, ...] = Field(default=(), description="channels of the levels of stride 1 after them")
    use_bias: bool = Field(default=False, description="of every level; the logits always have one")
    batch_norm: bool = Field(default=True, description="in every level but the first")
    spectral_norm_iterations: int = Field(default=0, ge=0, description="power iterations a step; 0 leaves it out")
    spectral_norm_levels: Literal["all", "down"] = Field(
        default="all", description="all: of every level and of the logits; down: of the levels of stride 2 alone"
    )

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return 1


class ClassifierDiscriminatorConfig(Section):
    """A discriminator that judges the whole photo: convolutions, dense layers, one logit."""

    kind: Literal["classifier"] = "classifier"
    sees_gray: bool = Field(default=True, description="judges the colour beside the gray photo, not alone")
    convolutions: tuple[ConvolutionConfig, ...] = Field(min_length=1)
    padding: Literal["same", "valid"] = Field(default="same", description="valid: convolutions shrink the sides")
    batch_norm: bool = Field(default=True, description="after every convolution but the first")
    activation: Activation = Field(default="leaky_relu", description="after every convolution")
    dense: tuple[Filters, ...] = Field(default=(), description="widths of the dense layers before the verdict")

    @property
    def smallest_size(self) -> int:
        """The shortest side of which the convolutions leave something."""
        side = 1
        for conv in reversed(self.convolutions):
            side = side * 2 if conv.pool else side
            side = (side - 1) * conv.stride + (conv.kernel_size if self.padding == "valid" else 1)
        return side
