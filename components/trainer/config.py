"""What a recipe is made of: its networks, its losses and how it is trained."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Filters = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Activation = Literal["relu", "leaky_relu"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UNetConfig(_Section):
    """An encoder-decoder with skips: every level is a convolution of stride 2, down and then up again.

    Without a stem the last level up is a transposed convolution to the colour channels and is not listed in
    `up_filters`. With one, a convolution 1x1 opens the network at full size and its output is the last skip; then
    `up_filters` lists every level up, and a convolution 1x1 gives the colour.
    """

    kind: Literal["unet"] = "unet"
    kernel_size: int = Field(default=4, ge=2, description="of every level")
    stem_filters: Filters | None = Field(default=None, description="of the convolution 1x1 before the first level")
    down_filters: tuple[Filters, ...] = Field(min_length=2)
    up_filters: tuple[Filters, ...] = Field(min_length=1)
    use_bias: bool = Field(default=False, description="of every level; the last convolution always has one")
    dropout: Share = 0.0
    dropout_levels: int = Field(default=0, ge=0, description="the first levels up that drop out")
    spectral_norm_iterations: int = Field(default=0, ge=0, description="power iterations a step; 0 leaves it out")
    batch_norm_up: bool = Field(default=False, description="batch normalisation in the levels up as well")
    batch_norm_bottleneck: bool = Field(default=True, description="batch normalisation in the last level down")
    bottleneck_activation: Activation = "leaky_relu"
    up_activation: Activation = "relu"
    activate_after_skip: bool = Field(default=False, description="a level up is activated together with its skip")
    dropout_at_inference: bool = Field(default=False, description="served with the dropout of a fixed seed")
    photo_statistics_at_inference: bool = Field(
        default=False, description="served with batch normalisation by each photo's own statistics"
    )

    @model_validator(mode="after")
    def _levels_match(self):
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
        return 2 ** len(self.down_filters)

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return self.stride

    @property
    def varies(self) -> bool:
        """Whether dropout can give several colourings of one photo."""
        return self.dropout > 0 and self.dropout_levels > 0


class ConvolutionConfig(_Section):
    """One convolution of a list."""

    filters: Filters
    kernel_size: int = Field(ge=1)
    stride: int = Field(default=1, ge=1)
    pool: bool = Field(default=False, description="halve the sides afterwards by taking maxima")


class ValidUNetConfig(_Section):
    """A U-Net that shrinks by its convolutions' borders alone: stride 1 and no padding on the way down, the same back.

    `down_blocks` lists the blocks, `up_blocks` their mirror images without the last convolution, to the colour.
    """

    kind: Literal["valid_unet"] = "valid_unet"
    down_blocks: tuple[tuple[ConvolutionConfig, ...], ...] = Field(min_length=1)
    bottleneck: ConvolutionConfig
    up_blocks: tuple[tuple[ConvolutionConfig, ...], ...] = Field(min_length=1)
    color_kernel_size: int = Field(ge=1, description="of the last transposed convolution, to the colour channels")
    output_activation: Literal["tanh", "relu"] = "tanh"

    @model_validator(mode="after")
    def _mirrors(self):
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


class ResidualUNetConfig(_Section):
    """A U-Net with residual blocks, whose colour is made at a fraction of the side and enlarged bilinearly.

    Every level down is a convolution 4x4 of stride 2 and its residual blocks; every level up a transposed convolution
    4x4, the skip, and a convolution 3x3. All are batch normalised. Levels up that are missing make the fraction: eyes
    see less detail in colour than in lightness, and the widest layers are the dearest.
    """

    kind: Literal["residual_unet"] = "residual_unet"
    down_filters: tuple[Filters, ...] = Field(min_length=2)
    residual_blocks: tuple[Annotated[int, Field(ge=0)], ...] = Field(description="after each level down")
    up_filters: tuple[Filters, ...] = Field(min_length=1)
    dropout: Share = 0.0
    dropout_levels: int = Field(default=0, ge=0, description="the first levels up that drop out")
    dropout_at_inference: bool = Field(default=False, description="served with the dropout of a fixed seed")

    @model_validator(mode="after")
    def _levels_match(self):
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
        return 2 ** len(self.down_filters)

    @property
    def color_stride(self) -> int:
        """How many times smaller than the photo's the sides are at which the colour is made."""
        return 2 ** (len(self.down_filters) - len(self.up_filters))

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return self.stride

    @property
    def varies(self) -> bool:
        """Whether dropout can give several colourings of one photo."""
        return self.dropout > 0 and self.dropout_levels > 0


class Vgg16Config(_Section):
    """VGG-16 without its top on the gray photo, and a decoder of convolutions and twofold upsampling."""

    kind: Literal["vgg16"] = "vgg16"
    weights: str = Field(
        default="imagenet", description="imagenet (what Keras downloads), random, or the path of a .weights.h5 file"
    )
    weights_sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="the file's digest, checked before it is read"
    )
    trainable_encoder: bool = Field(default=False, description="train VGG-16 as well")
    decoder_filters: tuple[Filters, ...] = Field(default=(256, 128, 64, 32, 16), min_length=5, max_length=5)

    @model_validator(mode="after")
    def _digest_of_a_file(self):
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


GeneratorConfig = UNetConfig | ResidualUNetConfig | ValidUNetConfig | Vgg16Config


class PatchDiscriminatorConfig(_Section):
    """A discriminator that judges patches: levels 4x4 of stride 2, then of stride 1, then one channel of logits."""

    kind: Literal["patch"] = "patch"
    down_filters: tuple[Filters, ...] = Field(min_length=1)
    flat_filters: tuple[Filters, ...] = ()
    use_bias: bool = Field(default=False, description="of every level; the logits always have one")
    batch_norm: bool = Field(default=True, description="in every level but the first")
    spectral_norm_iterations: int = Field(default=0, ge=0)

    @property
    def smallest_size(self) -> int:
        """The shortest side that an image may have."""
        return 1


class ClassifierDiscriminatorConfig(_Section):
    """A discriminator that judges the whole photo: convolutions, dense layers, one logit."""

    kind: Literal["classifier"] = "classifier"
    sees_gray: bool = Field(default=True, description="judges the colour beside the gray photo, not alone")
    convolutions: tuple[ConvolutionConfig, ...] = Field(min_length=1)
    padding: Literal["same", "valid"] = "same"
    batch_norm: bool = Field(default=True, description="after every convolution but the first")
    activation: Activation = "leaky_relu"
    dense: tuple[Filters, ...] = ()

    @property
    def smallest_size(self) -> int:
        """The shortest side of which the convolutions leave something."""
        side = 1
        for conv in reversed(self.convolutions):
            side = side * 2 if conv.pool else side
            side = (side - 1) * conv.stride + (conv.kernel_size if self.padding == "valid" else 1)
        return side


class AugmentationConfig(_Section):
    """How a stored photograph becomes a training square."""

    enlarge: float = Field(
        default=1.12, ge=1, le=2, description="the photo is resized to size times this, then cropped at random"
    )
    flip: bool = Field(default=True, description="mirror left and right at random")
    smallest_crop: float = Field(
        default=1.0, gt=0, le=1, description="crops have sides from this share of size up to the whole, and are resized"
    )
    gamma: float = Field(
        default=0.0, ge=0, le=2, description="lightness alone is raised to a power from exp(-this) to exp(this)"
    )
    grain: float = Field(
        default=0.0, ge=0, le=50, description="lightness gets noise of a deviation of up to this, in CIE units"
    )


class LossConfig(_Section):
    """The objectives of both networks; every term is a mean over photos.

    The generator minimises adversarial_weight * adversarial + reconstruction_weight * reconstruction +
    absolute_error_weight * l1 + colorfulness_weight * colorfulness + color_repulsion_weight * color repulsion, the
    discriminator discriminator_weight * (real + generated).
    """

    adversarial: Literal["non_saturating", "least_squares", "hinge"] = "non_saturating"
    adversarial_weight: float = Field(default=1.0, ge=0, description="0 trains the generator alone")
    adversarial_start: float = Field(
        default=0.0, ge=0, lt=1, description="share of the run in which the generator learns from reconstruction alone"
    )
    discriminator_weight: float = Field(default=0.5, gt=0, description="0.5 averages real and generated photos")
    reconstruction: Literal["l1", "l2", "log_l2", "huber", "cosine"] = "l1"
    huber_delta: float = Field(
        default=15.0, gt=0, description="where huber turns from squared to absolute: CIE units of a*b*, or 8-bit steps"
    )
    log_floor: float = Field(
        default=2.0, gt=0, description="where log_l2 stops rewarding a smaller error; in the unit of huber_delta"
    )
    reconstruction_weight: float = Field(default=100.0, ge=0)
    absolute_error_weight: float = Field(
        default=0.0, ge=0, description="beside it, for each CIE unit, or 8-bit step, of a photo's mean absolute error"
    )
    colorfulness_weight: float = Field(
        default=0.0, ge=0, description="for each CIE unit, or 8-bit step, that a photo is less colourful than the truth"
    )
    color_repulsion_weight: float = Field(
        default=0.0, ge=0, description="against the same colours for every photo of a batch"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="one-sided: the discriminator's target for real photos is 1 minus this"
    )

    @model_validator(mode="after")
    def _something_is_minimised(self):
        if not self.adversarial_weight and not self.reconstruction_weight:
            raise ValueError("adversarial_weight and reconstruction_weight must not both be 0")
        if self.adversarial_start and not self.reconstruction_weight:
            raise ValueError("adversarial_start must be 0 without a reconstruction_weight: nothing would be learned")
        if self.label_smoothing and self.adversarial == "hinge":
            raise ValueError("label_smoothing must be 0 for the hinge loss, which has no targets")
        return self


class PlateauConfig(_Section):
    """When both learning rates are lowered: the generator's training loss has stopped falling."""

    patience: int = Field(default=3, ge=1, description="measurements without a better one")
    factor: float = Field(default=0.1, gt=0, lt=1, description="what the rates are multiplied by")
    min_improvement: float = Field(default=0.01, ge=0, lt=1, description="share of the loss that counts as better")


class ScheduleConfig(_Section):
    """How both learning rates go over the run, which ends with train.steps or train.max_minutes."""

    warm_up_steps: int = Field(default=0, ge=0, description="in which the rates rise from nothing")
    decay: Literal["constant", "cosine"] = Field(
        default="constant", description="cosine: half a wave down to nothing at the end of the run"
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
    initial_generator: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="go on from this trained generator of the same network: shipped (the one that comes along), a "
        "packed one, or a SavedModel's folder; of several the mean of their weights; null draws weights by the seed",
    )
    optimizer: AdamConfig = AdamConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    plateau: PlateauConfig | None = Field(default=None, description="null keeps the learning rates")
    loss: LossConfig = LossConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    moving_average_decay: float = Field(
        default=0.999, ge=0, lt=1, description="of the generator's weights that are evaluated and exported"
    )
    batch_norm_momentum: float = Field(default=0.9, ge=0, lt=1)
    checkpoint_every: int = Field(default=500, ge=1, description="steps between two checkpoints")
    cache_memory_share: Share = Field(
        default=0.25, description="decoded photos stay in memory up to this share of it, else on disk"
    )
    precision: Literal["auto", "float32", "mixed_bfloat16"] = Field(
        default="auto",
        description="mixed_bfloat16 computes in 16 bits and keeps the weights in 32; auto does so where it is fast",
    )
    xla: bool = Field(default=False, description="compile the step with XLA; meant for GPUs")
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker_mirrored"] = "auto"
    log_every: int = Field(default=20, ge=1, description="steps between two readings of the losses")
    picture_every: int = Field(default=500, ge=1, description="steps between two measurements and picture grids")
    preview_photos: int = Field(default=64, ge=1, description="held-out photos that are measured while training")


class NetworkConfig(_Section):
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
    def _output_fits_color_space(self):
        if self.color_space == "lab" and getattr(self.generator, "output_activation", "tanh") != "tanh":
            raise ValueError("generator.output_activation must be tanh for color_space lab: a*b* may be negative")
        return self

    @property
    def color_channels(self) -> int:
        """How many channels the generator gives."""
        return 2 if self.color_space == "lab" else 3

    @property
    def smallest_size(self) -> int:
        """The shortest side that both networks accept."""
        return max(self.generator.smallest_size, self.discriminator.smallest_size if self.discriminator else 1)


class TrainerConfig(_Section):
    """All that the Trainer is told: the parts of a run's config that decide the weights."""

    recipe: str
    seed: int
    size: int
    network: NetworkConfig
    train: TrainConfig
