"""`train`: how long, on what and how the networks are trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.trainer.config.augmentation import AugmentationConfig
from components.trainer.config.hints import HintsConfig
from components.trainer.config.loss import LossConfig
from components.trainer.config.optimizer import AdamConfig, PlateauConfig, ScheduleConfig
from components.trainer.config.section import Section, Share


class TrainConfig(Section):
    """How long, on what and how the networks are trained."""

    steps: int = Field(default=10_000, ge=1, description="updates of the weights, one batch each")
    max_minutes: float | None = Field(default=None, gt=0, description="stop after this time even if steps are left")
    batch_size: int = Field(default=32, ge=1, description="over all replicas together")
    with_replacement: bool = Field(
        default=False, description="every photo is drawn from all of them, not each once before any comes again"
    )
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
    kept_views: int = Field(
        default=0,
        ge=0,
        description="squares of each photograph whose maps a frozen encoder makes once and keeps in files, to learn "
        "from until it is trained, too; 0 makes them in every step",
    )
    hints: HintsConfig | None = Field(default=None, description="null simulates none; then the model takes none")
    moving_average_decay: float = Field(
        default=0.999, ge=0, lt=1, description="of the generator's weights that are evaluated and exported"
    )
    batch_norm_momentum: float = Field(
        default=0.9, ge=0, lt=1, description="how slowly the statistics of batch normalisation move"
    )
    checkpoint_every: int = Field(default=500, ge=1, description="steps between two checkpoints")
    cache_memory_share: Share = Field(
        default=0.25, description="decoded photos stay in memory up to this share of it, else on disk"
    )
    precision: Literal["auto", "float32", "mixed_bfloat16"] = Field(
        default="auto",
        description="mixed_bfloat16 computes in 16 bits and keeps the weights in 32; auto does so where it is fast",
    )
    xla: bool = Field(default=False, description="compile the step with XLA; meant for GPUs")
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker_mirrored"] = Field(
        default="auto", description="how the work is shared; auto goes by TF_CONFIG and the number of GPUs"
    )
    log_every: int = Field(default=20, ge=1, description="steps between two readings of the losses")
    picture_every: int = Field(default=500, ge=1, description="steps between two measurements and picture grids")
    preview_photos: int = Field(default=64, ge=1, description="held-out photos that are measured while training")

    @model_validator(mode="after")
    def _kept_views_stay_as_they_are(self) -> Self:
        if self.kept_views and (self.augmentation.gamma or self.augmentation.grain):
            raise ValueError("augmentation.gamma and grain must be 0 with kept_views: they change every step")
        if self.kept_views and self.with_replacement:
            raise ValueError("with_replacement must be false with kept_views, which come in turns")
        return self
