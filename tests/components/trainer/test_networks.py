import numpy as np
import pytest

from components.trainer.networks import build_discriminator, build_generator, count_parameters
from pipeline.config import load_config


@pytest.fixture(scope="module")
def recipe():
    return load_config("sn_unet_lab_128").network


def test_sn_unet_lab_128_has_the_parameters_of_its_report(recipe):
    assert count_parameters(build_generator(recipe, batch_norm_momentum=0.9, seed=0)) == 15_049_474
    assert count_parameters(build_discriminator(recipe, batch_norm_momentum=0.9, seed=0)) == 695_553


def test_the_discriminator_judges_patches_32_by_32(recipe):
    discriminator = build_discriminator(recipe, batch_norm_momentum=0.9, seed=0)
    logits = discriminator([np.zeros((2, 128, 128, 1)), np.zeros((2, 128, 128, 2))])
    assert logits.shape == (2, 32, 32, 1)


def test_the_generator_takes_any_sides_that_are_multiples_of_its_stride():
    network = load_config("demo").network
    generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
    assert generator(np.zeros((1, 32, 96, 1))).shape == (1, 32, 96, 2)


def test_spectral_normalisation_brings_every_kernel_to_norm_one(recipe):
    generator = build_generator(recipe, batch_norm_momentum=0.9, seed=0)
    for layer in (generator.get_layer("down_3"), generator.get_layer("up_3")):
        for _ in range(3):
            kernel = np.asarray(layer.normalized_kernel(training=True))
        assert np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2) == pytest.approx(1, abs=0.05)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    network = load_config("demo").network
    first, again, other = (build_generator(network, batch_norm_momentum=0.9, seed=s).get_weights() for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
