import numpy as np
import pytest
import tensorflow as tf

from components.trainer.colorings import color_photos
from components.trainer.networks.build import build_generator
from pipeline.config import load_config

GRAY = tf.random.stateless_uniform([4, 32, 32, 1], seed=[0, 0], minval=-1)
SIZE = "data.size=32"


@pytest.fixture(scope="module")
def network():
    return load_config("demo", [SIZE, "network.generator.dropout_levels=3"]).network


@pytest.fixture(scope="module")
def generator(network):
    return build_generator(network, batch_norm_momentum=0.9, seed=0)


def ask(generator, network, gray, seeds=None):
    seeds = None if seeds is None else tf.constant(seeds)
    return color_photos(generator, network, gray, seeds).numpy()


def test_another_seed_gives_other_colours_and_the_same_seed_the_same(generator, network):
    same_photo = tf.repeat(GRAY[:1], 3, axis=0)
    first, other, again = ask(generator, network, same_photo, [5, 6, 5])
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_a_colouring_depends_on_the_photo_and_the_seed_alone(generator, network):
    together = ask(generator, network, GRAY, [1, 2, 3, 4])
    alone = ask(generator, network, GRAY[2:3], [3])
    np.testing.assert_allclose(together[2], alone[0], atol=1e-5)


def test_the_mask_of_a_seed_drops_the_share_that_the_recipe_says_and_keeps_the_mean(generator, network):
    from components.trainer.colorings import dropout_masks

    masks = dropout_masks(generator, network.generator, tf.constant(64), tf.constant(96), tf.constant([7]))
    assert [mask.shape for mask in masks] == [(1, 4, 6, 128), (1, 8, 12, 128), (1, 16, 24, 96)]
    for mask in masks:
        assert set(np.unique(mask)) == {0.0, 2.0}
        assert np.mean(mask) == pytest.approx(1, abs=0.05)


def test_without_a_seed_there_is_no_dropout(generator, network):
    assert np.array_equal(ask(generator, network, GRAY), generator(GRAY, training=False))


def test_a_recipe_served_with_dropout_and_its_own_statistics_colours_each_photo_by_itself():
    settings = [
        "dropout_at_inference=true",
        "dropout_levels=3",
        "photo_statistics_at_inference=true",
        "batch_norm_up=true",
    ]
    network = load_config("demo", [SIZE, *(f"network.generator.{setting}" for setting in settings)]).network
    generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
    together = ask(generator, network, GRAY)
    np.testing.assert_allclose(together[1:2], ask(generator, network, GRAY[1:2]), atol=1e-5)
    assert np.array_equal(together, ask(generator, network, GRAY))
    assert not np.allclose(together, generator(GRAY, training=False))  # dropout is on


def test_photo_statistics_are_those_that_a_batch_of_one_is_trained_with():
    settings = ["photo_statistics_at_inference=true", "batch_norm_up=true", "dropout=0"]
    network = load_config("demo", [SIZE, *(f"network.generator.{setting}" for setting in settings)]).network
    generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
    for _ in range(20):  # the first calls still turn the vectors of spectral normalisation
        generator(GRAY[:1], training=True)
    trained = generator(GRAY[:1], training=True)
    np.testing.assert_allclose(ask(generator, network, GRAY[:1]), trained, atol=1e-3)


def test_where_the_recipe_asks_the_mirror_image_too_the_colours_are_the_mean_of_both(generator, network):
    one, mirrored = ask(generator, network, GRAY), ask(generator, network, GRAY[:, :, ::-1])[:, :, ::-1]
    colours = ask(generator, network.model_copy(update={"mirror": True}), GRAY)
    assert np.abs(one - mirrored).max() > 1e-3
    np.testing.assert_allclose(colours, (one + mirrored) / 2, atol=1e-5)


def test_the_mirror_image_is_asked_under_the_mirrored_masks(network):
    class Dropout:
        """A network that is nothing but its dropout: mirrored inputs and masks give mirrored outputs."""

        def dropout_shapes(self, height, width):
            return [(height, width, 1)]

        def __call__(self, gray, masks, training):
            return gray * masks[0]

    both, seeds = network.model_copy(update={"mirror": True}), [1, 2, 3, 4]
    np.testing.assert_allclose(ask(Dropout(), both, GRAY, seeds), ask(Dropout(), network, GRAY, seeds), atol=1e-6)
