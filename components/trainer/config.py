"""What a recipe is made of: its networks, its losses and how it is trained."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Filters = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UNetConfig(_Section):
    """An encoder-decoder with skips: every level is a convolution 4x4 of stride 2, down and then up again.

    The last level up, back to the full size, gives the two colour channels and is not listed in `up_filters`.
    """

    down_filters: tuple[Filters, ...] = Field(min_length=2)
    up_filters: tuple[Filters, ...] = Field(min_length=1)
    dropout: Share = 0.0
    dropout_levels: int = Field(default=0, ge=0, description="the first levels up that drop out")
    spectral_norm_iterations: int = Field(default=0, ge=0, description="power iterations a step; 0 leaves it out")
    batch_norm_up: bool = Field(default=False, description="batch normalisation in the levels up as well")

    @model_validator(mode="after")
    def _levels_match(self):
        if len(self.up_filters) != len(self.down_filters) - 1:
            raise ValueError(
                f"up_filters must have one level less than down_filters ({len(self.down_filters) - 1}), "
                f"got {len(self.up_filters)}"
            )
        if self.dropout_levels > len(self.up_filters):
            raise ValueError(f"dropout_levels must be at most {len(self.up_filters)}, got {self.dropout_levels}")
        return self

    @property
    def stride(self) -> int:
        """The number that an image's sides must be a multiple of."""
        return 2 ** len(self.down_filters)


class PatchDiscriminatorConfig(_Section):
    """A discriminator that judges patches: levels 4x4 of stride 2, then of stride 1, then one channel of logits."""

    down_filters: tuple[Filters, ...] = Field(min_length=1)
    flat_filters: tuple[Filters, ...] = ()
    spectral_norm_iterations: int = Field(default=0, ge=0)


class AugmentationConfig(_Section):
    """How a stored photograph becomes a training square."""

    enlarge: float = Field(
        default=1.12, ge=1, le=2, description="the photo is resized to size times this, then cropped at random"
    )
    flip: bool = Field(default=True, description="mirror left and right at random")


class LossConfig(_Section):
    """The generator's objective: adversarial_weight * adversarial + reconstruction_weight * reconstruction."""

    adversarial: Literal["non_saturating", "hinge"] = "non_saturating"
    adversarial_weight: float = Field(default=1.0, ge=0, description="0 trains the generator alone")
    reconstruction: Literal["l1", "l2"] = "l1"
    reconstruction_weight: float = Field(default=100.0, ge=0)
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="one-sided: the discriminator's target for real photos is 1 minus this"
    )


class AdamConfig(_Section):
    """Learning rates of the two Adam optimisers and their momentum."""

    generator_learning_rate: float = Field(default=2e-4, gt=0)
    discriminator_learning_rate: float = Field(default=2e-4, gt=0)
    beta_1: float = Field(default=0.5, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)


class TrainConfig(_Section):
    """How long, on what and how the networks are trained."""

    steps: int = Field(default=10_000, ge=1)
    max_minutes: float | None = Field(default=None, gt=0, description="stop after this time even if steps are left")
    batch_size: int = Field(default=32, ge=1, description="over all replicas together")
    optimizer: AdamConfig = AdamConfig()
    loss: LossConfig = LossConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    moving_average_decay: float = Field(
        default=0.999, ge=0, lt=1, description="of the generator's weights that are evaluated and exported"
    )
    batch_norm_momentum: float = Field(default=0.9, ge=0, lt=1)
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker_mirrored"] = "auto"
    log_every: int = Field(default=20, ge=1, description="steps between two readings of the losses")
    picture_every: int = Field(default=500, ge=1, description="steps between two measurements and picture grids")
    preview_photos: int = Field(default=64, ge=1, description="held-out photos that are measured while training")


class NetworkConfig(_Section):
    """The two networks of a recipe and the colour space in which they meet."""

    color_space: Literal["lab"] = "lab"
    generator: UNetConfig
    discriminator: PatchDiscriminatorConfig
    initializer_stddev: float | None = Field(
        default=0.02, gt=0, description="kernels start from N(0, this); null for Keras' own (Glorot uniform)"
    )


class TrainerConfig(_Section):
    """All that the Trainer is told: the parts of a run's config that decide the weights."""

    recipe: str
    seed: int
    size: int
    network: NetworkConfig
    train: TrainConfig
