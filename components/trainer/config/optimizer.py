"""`train.optimizer`, `train.schedule`, `train.plateau`: the learning rates."""

from typing import Literal

from pydantic import Field

from components.trainer.config.section import Section


class PlateauConfig(Section):
    """When both learning rates are lowered: the generator's training loss has stopped falling."""

    patience: int = Field(default=3, ge=1, description="measurements without a better one")
    factor: float = Field(default=0.1, gt=0, lt=1, description="what the rates are multiplied by")
    min_improvement: float = Field(default=0.01, ge=0, lt=1, description="share of the loss that counts as better")


class ScheduleConfig(Section):
    """How both learning rates go over the run, which ends with train.steps or train.max_minutes."""

    warm_up_steps: int = Field(default=0, ge=0, description="in which the rates rise from nothing")
    decay: Literal["constant", "cosine"] = Field(
        default="constant", description="cosine: half a wave down to nothing at the end of the run"
    )


class AdamConfig(Section):
    """Learning rates of the two Adam optimisers and their momentum."""

    generator_learning_rate: float = Field(default=2e-4, gt=0, description="before schedule and plateau change it")
    discriminator_learning_rate: float = Field(default=2e-4, gt=0, description="the same for the discriminator")
    beta_1: float = Field(default=0.5, ge=0, lt=1, description="Adam's decay of the mean gradient")
    beta_2: float = Field(default=0.999, ge=0, lt=1, description="Adam's decay of the mean squared gradient")
    weight_decay: float = Field(
        default=0.0, ge=0, description="AdamW's, of the generator's kernels: this times the rate, a step"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="the generator's gradients are shortened to this norm; null leaves them"
    )
    encoder_learning_rate: float = Field(
        default=1e-4, ge=0, description="of a pretrained_unet's encoder; 0 leaves it as it is"
    )
    encoder_frozen_steps: int = Field(default=0, ge=0, description="first steps in which it stays as it is")
