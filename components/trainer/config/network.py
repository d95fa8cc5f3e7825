"""`network`: the two networks and the colour space in which they meet."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.trainer.config.discriminators import ClassifierDiscriminatorConfig, PatchDiscriminatorConfig
from components.trainer.config.generators import GeneratorConfig
from components.trainer.config.section import Section


class NetworkConfig(Section):
    """The two networks of a recipe and the colour space in which they meet."""

    color_space: Literal["lab", "rgb"] = Field(
        default="lab", description="lab: L* in, a*b* out; rgb: gray in, red, green and blue out"
    )
    gray_channels: Literal[1, 3] = Field(default=1, description="how often the gray photo is repeated for the networks")
    generator: GeneratorConfig = Field(discriminator="kind")
    discriminator: PatchDiscriminatorConfig | ClassifierDiscriminatorConfig | None = Field(
        default=None, discriminator="kind", description="null trains the generator alone"
    )
    initializer_stddev: float | None = Field(
        default=0.02, gt=0, description="kernels start from N(0, this); null for Keras' own (Glorot uniform)"
    )
    leaky_relu_slope: float = Field(
        default=0.2, ge=0, lt=1, description="of every leaky_relu in both networks, where its input is negative"
    )

    saturation: float = Field(
        default=1.0,
        gt=0,
        le=2,
        description="factor on the predicted a*b* when photographs are coloured, not in training",
    )
    mirror: bool = Field(
        default=False,
        description="colours are the mean of the photo's and its mirror image's, at twice the work; not in training",
    )

    @model_validator(mode="after")
    def _output_fits_color_space(self) -> Self:
        if self.color_space == "lab" and getattr(self.generator, "output_activation", "tanh") != "tanh":
            raise ValueError("generator.output_activation must be tanh for color_space lab: a*b* may be negative")
        return self

    @model_validator(mode="after")
    def _pretrained_sees_lightness(self) -> Self:
        if self.generator.kind == "pretrained_unet" and (self.color_space, self.gray_channels) != ("lab", 1):
            raise ValueError("color_space must be lab and gray_channels 1 for a pretrained_unet")
        return self

    @property
    def color_channels(self) -> int:
        """How many channels the generator gives."""
        return 2 if self.color_space == "lab" else 3

    @property
    def smallest_size(self) -> int:
        """The shortest side that both networks accept."""
        return max(self.generator.smallest_size, self.discriminator.smallest_size if self.discriminator else 1)
