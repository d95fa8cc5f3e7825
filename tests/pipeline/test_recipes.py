"""What the sources of the recipes state, compared with the configs and with the networks that they build.

Each `Statements` is a source's own numbers, and nothing that a recipe chose where its source is silent.
"""

import dataclasses

import pytest

from components.trainer.networks.build import build_discriminator, build_generator, count_parameters
from pipeline.config import load_config
from tests.pipeline.network_sheets import receptive_field, sheet


@dataclasses.dataclass(frozen=True)
class Statements:
    """One source's.

    Attributes:
        config: fields of the config and what they must be.
        targets: of the discriminator for real and for generated photographs.
        generator, discriminator: their layers, as `sheet` writes them; None where the source does not list them all.
        parameters: of both networks, where the layers are listed.
        verdicts: sides and channels of what the discriminator says of one photograph.
    """

    config: dict[str, object]
    targets: tuple[float, float] | None = None
    generator: str | None = None
    discriminator: str | None = None
    parameters: tuple[int, int] | None = None
    verdicts: tuple[int, int, int] | None = None


ADAM = {"train.optimizer.beta_2": 0.999, "train.plateau": None, "train.schedule.decay": "constant"}
GAN = {"train.loss.adversarial": "non_saturating", "train.loss.adversarial_weight": 1}
AS_THEY_ARE = {"train.augmentation.enlarge": 1, "train.augmentation.flip": False, "train.augmentation.aging": None}

SOURCES = {
    "fcn_rgb_120": Statements(
        config=GAN
        | AS_THEY_ARE
        | {
            "data.size": 120,
            "network.color_space": "rgb",
            "train.optimizer.generator_learning_rate": 2e-4,
            "train.optimizer.discriminator_learning_rate": 2e-4,
            "train.plateau.factor": 0.1,
            "train.loss.reconstruction": "l1",
            "train.loss.reconstruction_weight": 100,
            "train.loss.label_smoothing_kind": "one_sided",
        },
        generator="""
            conv 5x5/1 16 valid bias leaky 0.3
            conv 3x3/1 32 valid bias leaky 0.3
            conv 3x3/1 32 valid bias leaky 0.3
            conv 5x5/1 32 valid bias leaky 0.3
            conv 3x3/1 64 valid bias leaky 0.3
            conv 3x3/1 64 valid bias leaky 0.3
            conv 5x5/1 64 valid bias leaky 0.3
            conv 3x3/1 128 valid bias leaky 0.3
            conv 3x3/1 128 valid bias leaky 0.3
            conv 3x3/1 128 bias tanh join
            up 3x3/1 128 valid bias relu
            up 3x3/1 128 valid bias relu
            up 5x5/1 64 valid bias relu join
            up 3x3/1 64 valid bias relu
            up 3x3/1 64 valid bias relu
            up 5x5/1 32 valid bias relu join
            up 3x3/1 32 valid bias relu
            up 3x3/1 32 valid bias relu
            up 5x5/1 3 valid bias relu
        """,
        discriminator="""
            conv 7x7/1 32 valid bias relu
            conv 7x7/1 32 valid bias relu pool
            conv 5x5/1 64 valid bias relu
            conv 5x5/1 64 valid bias relu pool
            conv 3x3/1 128 valid bias relu
            conv 3x3/1 128 valid bias relu pool
            conv 3x3/1 256 valid bias relu
            conv 3x3/1 256 valid bias relu pool
            dense 512 relu
            dense 128 relu
            dense 16 relu
            dense 1
        """,
        parameters=(1_406_403, 1_907_905),
        verdicts=(1, 1, 1),
    ),
    "unet_rgb_32": Statements(
        config=ADAM
        | GAN
        | {
            "data.size": 32,
            "network.color_space": "rgb",
            "train.batch_size": 50,
            "train.optimizer.generator_learning_rate": 1e-4,
            "train.optimizer.discriminator_learning_rate": 1e-4,
            "train.optimizer.beta_1": 0.9,
            "train.loss.discriminator_weight": 1,
            "train.loss.reconstruction": "cosine",
            "train.loss.reconstruction_weight": 100,
        },
        targets=(1.0, 0.0),
        # Of the filters the source gives the 512 in the middle alone; the rest are the recipe's.
        generator="""
            conv 1x1/1 64 bias leaky 0.2
            conv 2x2/2 64 bias norm leaky 0.2
            conv 2x2/2 128 bias norm leaky 0.2
            conv 2x2/2 256 bias norm leaky 0.2
            conv 2x2/2 512 bias norm leaky 0.2
            up 2x2/2 256 bias norm dropout 0.5 leaky 0.2 join
            up 2x2/2 128 bias norm dropout 0.5 leaky 0.2 join
            up 2x2/2 64 bias norm leaky 0.2 join
            up 2x2/2 64 bias norm leaky 0.2 join
            conv 1x1/1 3 bias tanh
        """,
        discriminator="""
            join
            conv 2x2/2 64 bias leaky 0.2
            conv 2x2/2 128 bias norm leaky 0.2
            conv 2x2/2 256 bias norm leaky 0.2
            conv 2x2/2 512 bias norm leaky 0.2
            dense 128 leaky 0.2
            dense 1
        """,
        verdicts=(1, 1, 1),
    ),
    "sn_unet_lab_128": Statements(
        config=ADAM
        | GAN
        | {
            "data.size": 128,
            "network.color_space": "lab",
            "network.generator.dropout_at_inference": True,
            "train.batch_size": 128,
            "train.optimizer.generator_learning_rate": 4e-4,
            "train.optimizer.discriminator_learning_rate": 1e-4,
            "train.optimizer.beta_1": 0.5,
            "train.augmentation.flip": True,
            "train.loss.discriminator_weight": 1,
            "train.loss.discriminator_updates": "together",
            "train.loss.reconstruction": "l1",
            "train.loss.reconstruction_weight": 100,
        },
        targets=(0.95, 0.05),
        generator="""
            conv 4x4/2 32 spectral*10 leaky 0.3
            conv 4x4/2 64 spectral*10 norm leaky 0.3
            conv 4x4/2 128 spectral*10 norm leaky 0.3
            conv 4x4/2 128 spectral*10 norm leaky 0.3
            conv 4x4/2 256 spectral*10 norm leaky 0.3
            conv 4x4/2 256 spectral*10 norm leaky 0.3
            conv 4x4/2 512 spectral*10 norm leaky 0.3
            up 4x4/2 512 spectral*10 dropout 0.5 relu join
            up 4x4/2 256 spectral*10 dropout 0.5 relu join
            up 4x4/2 256 spectral*10 dropout 0.5 relu join
            up 4x4/2 128 spectral*10 dropout 0.5 relu join
            up 4x4/2 128 spectral*10 relu join
            up 4x4/2 64 spectral*10 relu join
            up 4x4/2 2 bias tanh
        """,
        discriminator="""
            join
            conv 4x4/2 32 spectral*10 leaky 0.3
            conv 4x4/2 64 spectral*10 norm leaky 0.3
            conv 4x4/1 128 norm leaky 0.3
            conv 4x4/1 256 norm leaky 0.3
            conv 4x4/1 1 bias
        """,
        parameters=(15_049_474, 695_553),
        verdicts=(32, 32, 1),
    ),
    "vgg16_lab_224": Statements(
        config=AS_THEY_ARE
        | {
            "data.size": 224,
            "network.color_space": "lab",
            "network.generator.weights": "imagenet",
            "network.generator.trainable_encoder": False,
            "network.discriminator": None,
            "train.batch_size": 64,
            "train.loss.adversarial_weight": 0,
            "train.loss.reconstruction": "l2",
        },
        # The decoder's filters are the recipe's.
        generator="""
            join *50 +50
            vgg16 frozen
            conv 3x3/1 256 bias relu double
            conv 3x3/1 128 bias relu double
            conv 3x3/1 64 bias relu double
            conv 3x3/1 32 bias relu double
            conv 3x3/1 16 bias relu double
            conv 3x3/1 2 bias tanh
        """,
    ),
    "pix2pix_lab_256": Statements(
        config=GAN
        | AS_THEY_ARE
        | {
            "data.size": 256,
            "network.color_space": "lab",
            "train.loss.discriminator_weight": 0.5,
            "train.loss.reconstruction": "l1",
            "train.loss.reconstruction_weight": 100,
        },
        targets=(1.0, 0.0),
    ),
    "pix2pix_rgb_256": Statements(
        config=ADAM
        | GAN
        | AS_THEY_ARE
        | {
            "data.size": 256,
            "network.color_space": "rgb",
            "network.initializer_stddev": 0.02,
            "network.generator.dropout_at_inference": True,
            "network.generator.photo_statistics_at_inference": True,
            "train.batch_size": 1,
            "train.with_replacement": True,
            "train.picture_every": 500,
            "train.optimizer.generator_learning_rate": 2e-4,
            "train.optimizer.discriminator_learning_rate": 2e-4,
            "train.optimizer.beta_1": 0.5,
            "train.loss.discriminator_weight": 0.5,
            "train.loss.discriminator_updates": "apart",
            "train.loss.reconstruction": "l1",
            "train.loss.reconstruction_weight": 100,
        },
        targets=(1.0, 0.0),
        generator="""
            conv 4x4/2 64 bias leaky 0.2
            conv 4x4/2 128 bias norm leaky 0.2
            conv 4x4/2 256 bias norm leaky 0.2
            conv 4x4/2 512 bias norm leaky 0.2
            conv 4x4/2 512 bias norm leaky 0.2
            conv 4x4/2 512 bias norm leaky 0.2
            conv 4x4/2 512 bias norm leaky 0.2
            conv 4x4/2 512 bias relu
            up 4x4/2 512 bias norm dropout 0.5 join relu
            up 4x4/2 512 bias norm dropout 0.5 join relu
            up 4x4/2 512 bias norm dropout 0.5 join relu
            up 4x4/2 512 bias norm join relu
            up 4x4/2 256 bias norm join relu
            up 4x4/2 128 bias norm join relu
            up 4x4/2 64 bias norm join relu
            up 4x4/2 3 bias tanh
        """,
        discriminator="""
            join
            conv 4x4/2 64 bias leaky 0.2
            conv 4x4/2 128 bias norm leaky 0.2
            conv 4x4/2 256 bias norm leaky 0.2
            conv 4x4/2 512 bias norm leaky 0.2
            conv 4x4/1 512 bias norm leaky 0.2
            conv 4x4/1 1 bias
        """,
        parameters=(54_429_315, 6_968_257),
        verdicts=(16, 16, 1),
    ),
}


def field(config, name):
    """A field of a config by its dotted name."""
    for part in name.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize("recipe", SOURCES)
def test_a_recipe_says_its_source_s_numbers(recipe):
    config, source = load_config(recipe), SOURCES[recipe]
    assert {name: field(config, name) for name in source.config} == source.config
    if source.targets:
        assert config.train.loss.discriminator_targets == pytest.approx(source.targets)


@pytest.mark.parametrize("recipe", [recipe for recipe, source in SOURCES.items() if source.generator])
def test_a_recipe_builds_its_source_s_networks(recipe):
    config, source = load_config(recipe), SOURCES[recipe]
    network, size = config.network, config.data.size
    generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
    assert sheet(generator) == _lines(source.generator)
    judge = build_discriminator(network, size=size, batch_norm_momentum=0.9, seed=0)
    if source.discriminator is None:
        assert judge is None
        return
    assert sheet(judge) == _lines(source.discriminator)
    photo = [(1, size, size, network.gray_channels), (1, size, size, network.color_channels)]
    assert judge.compute_output_shape(photo) == (1, *source.verdicts)
    if source.parameters:
        assert (count_parameters(generator), count_parameters(judge)) == source.parameters


def test_pix2pix_lab_256_has_eight_levels_to_one_pixel_and_judges_patches_of_seventy():
    config = load_config("pix2pix_lab_256")
    assert len(config.network.generator.down_filters) == 8
    assert config.data.size // config.network.generator.stride == 1
    judge = build_discriminator(config.network, size=256, batch_norm_momentum=0.9, seed=0)
    assert receptive_field(judge) == 70


def _lines(text):
    return [line.strip() for line in text.strip().splitlines()]
