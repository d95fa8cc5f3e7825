"""What a recipe is made of: one file for each section, named like it, and together what the Trainer is told."""

from components.trainer.config.aging import AgingConfig
from components.trainer.config.augmentation import AugmentationConfig
from components.trainer.config.convolutions import ConvolutionConfig
from components.trainer.config.discriminators import ClassifierDiscriminatorConfig, PatchDiscriminatorConfig
from components.trainer.config.generators import (
    PretrainedUNetConfig,
    ResidualUNetConfig,
    UNetConfig,
    ValidUNetConfig,
    Vgg16Config,
)
from components.trainer.config.hints import HintsConfig
from components.trainer.config.loss import LossConfig
from components.trainer.config.network import NetworkConfig
from components.trainer.config.optimizer import AdamConfig, PlateauConfig
from components.trainer.config.section import Activation, Section
from components.trainer.config.train import TrainConfig

__all__ = [
    "Activation",
    "AdamConfig",
    "AgingConfig",
    "AugmentationConfig",
    "ClassifierDiscriminatorConfig",
    "ConvolutionConfig",
    "HintsConfig",
    "LossConfig",
    "NetworkConfig",
    "PatchDiscriminatorConfig",
    "PlateauConfig",
    "PretrainedUNetConfig",
    "ResidualUNetConfig",
    "TrainConfig",
    "TrainerConfig",
    "UNetConfig",
    "ValidUNetConfig",
    "Vgg16Config",
]


class TrainerConfig(Section):
    """All that the Trainer is told: the parts of a run's config that decide the weights."""

    recipe: str
    seed: int
    size: int
    network: NetworkConfig
    train: TrainConfig
    weights: dict[str, float] | None = None
