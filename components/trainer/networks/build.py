"""The generator and the discriminator of a recipe."""

import keras

from components.trainer.config import (
    ClassifierDiscriminatorConfig,
    NetworkConfig,
    PatchDiscriminatorConfig,
    PretrainedUNetConfig,
    ResidualUNetConfig,
    TrainerConfig,
    UNetConfig,
    ValidUNetConfig,
    Vgg16Config,
)
from components.trainer.networks.discriminators import build_classifier_discriminator, build_patch_discriminator
from components.trainer.networks.pretrained_unet import build_pretrained_unet
from components.trainer.networks.residual_unet import build_residual_unet
from components.trainer.networks.unet import build_unet
from components.trainer.networks.valid_unet import build_valid_unet
from components.trainer.networks.vgg16 import build_vgg16


def build_generator(network: NetworkConfig, *, batch_norm_momentum: float, seed: int) -> keras.Model:
    """The generator of a recipe with weights drawn by the seed: gray [N, H, W, g] -> colour [N, H, W, c]."""
    match network.generator:
        case UNetConfig() as config:
            generator = build_unet(network, config, batch_norm_momentum=batch_norm_momentum, seed=seed)
        case ResidualUNetConfig() as config:
            generator = build_residual_unet(network, config, batch_norm_momentum=batch_norm_momentum, seed=seed)
        case PretrainedUNetConfig() as config:
            generator = build_pretrained_unet(network, config, batch_norm_momentum=batch_norm_momentum, seed=seed)
        case ValidUNetConfig() as config:
            return build_valid_unet(network, config, seed=seed)
        case Vgg16Config() as config:
            return build_vgg16(network, config, seed=seed)
    # The weights are drawn when a photo passes through for the first time.
    side = config.stride
    generator(keras.ops.zeros((1, side, side, network.gray_channels)))
    return generator


def build_plain_generator(config: TrainerConfig) -> keras.Model:
    """The generator of a recipe as it is served: without spectral normalisation."""
    network = config.network
    if isinstance(network.generator, UNetConfig):
        plain = network.generator.model_copy(update={"spectral_norm_iterations": 0})
        network = network.model_copy(update={"generator": plain})
    return build_generator(network, batch_norm_momentum=config.train.batch_norm_momentum, seed=config.seed)


def build_discriminator(
    network: NetworkConfig, *, size: int, batch_norm_momentum: float, seed: int
) -> keras.Model | None:
    """The discriminator of a recipe: [gray [N, S, S, g], colour [N, S, S, c]] -> logits [N, h, w, 1], high is real.

    A classifier of whole photos gives [N, 1, 1, 1]. None when the recipe has no discriminator.
    """
    match network.discriminator:
        case None:
            return None
        case PatchDiscriminatorConfig() as config:
            return build_patch_discriminator(network, config, batch_norm_momentum=batch_norm_momentum, seed=seed)
        case ClassifierDiscriminatorConfig() as config:
            return build_classifier_discriminator(
                network, config, size=size, batch_norm_momentum=batch_norm_momentum, seed=seed
            )


def count_parameters(model: keras.Model) -> int:
    """Weights of a network without the vectors of spectral normalisation, which are state of an estimate."""
    return sum(weight.value.shape.num_elements() for weight in model.weights if weight.name != "left_vector")
