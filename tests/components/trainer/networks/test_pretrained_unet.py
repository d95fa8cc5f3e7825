import keras
import numpy as np
import pytest

from components.trainer.networks.build import build_generator
from components.trainer.networks.efficientnet_lite import imagenet_range
from photo.color import lab_to_rgb
from pipeline.config import load_config
from tests.components.trainer.small_networks import SMALL_PRETRAINED

GRAY = np.random.default_rng(0).uniform(-1, 1, (2, 64, 96, 1)).astype(np.float32)
NO_HINTS = np.zeros((2, 64, 96, 3), np.float32)


def build(*settings, seed=0):
    network = load_config("tintype_pretrained", [*SMALL_PRETRAINED, *settings]).network
    return build_generator(network, batch_norm_momentum=0.9, seed=seed)


@pytest.fixture(scope="module")
def generator():
    return build()


def test_it_gives_a_colour_for_each_pixel_and_a_distribution_for_each_four_by_four(generator):
    color, logits = generator(GRAY)
    assert color.shape == (2, 64, 96, 2)
    assert logits.shape == (2, 16, 24, 225)


def test_without_the_fine_level_the_colour_is_made_where_the_distribution_is():
    color, logits = build("network.generator.fine_filters=null")(GRAY)
    assert color.shape == (2, 64, 96, 2)
    assert logits.shape == (2, 16, 24, 225)
    # Bilinear enlargement by 4: a pixel between two of the same quarter is their mean.
    np.testing.assert_allclose(color[:, 3:60:4], (color[:, 2:59:4] + color[:, 4:61:4]) / 2, atol=1e-4)


def test_the_encoder_sees_the_neutral_photo_of_the_lightness(generator):
    lab = np.concatenate([(GRAY + 1) * 50, np.zeros_like(NO_HINTS[..., :2])], axis=-1)
    seen = generator.encoder(imagenet_range(lab_to_rgb(lab, np.float32)))
    for one, other in zip(generator.encode(GRAY), seen[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_an_empty_map_of_hints_is_the_same_as_none(generator):
    for one, other in zip(generator(GRAY), generator(GRAY, NO_HINTS), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("place", [(0, 0), (63, 95), (31, 40)])
def test_a_hint_of_one_pixel_changes_the_colour_there(generator, place):
    hints = NO_HINTS.copy()
    hints[0][place] = 0.3, -0.2, 1
    change = np.abs(np.asarray(generator(GRAY, hints)[0]) - np.asarray(generator(GRAY)[0]))
    assert change[0][place].max() > 1e-4
    assert change[1].max() == 0, "the other photo has no hint"


def test_the_encoder_does_not_learn_where_it_shall_not(generator):
    import tensorflow as tf

    def gradients(encoder_learns):
        with tf.GradientTape() as tape:
            color, logits = generator(GRAY, training=True, encoder_learns=encoder_learns)
            loss = keras.ops.sum(color**2) + keras.ops.sum(logits**2)
        return tape.gradient(loss, generator.encoder.trainable_variables)

    assert all(gradient is None for gradient in gradients(False))
    assert not any(gradient is None for gradient in gradients(True))


def test_the_statistics_that_came_with_the_weights_stay_unless_the_batch_shall_count():
    def change(*settings):
        made = build(*settings)
        norm = made.encoder.stem.norm
        before = np.array(norm.moving_mean)
        made(GRAY, training=True)
        return np.abs(np.array(norm.moving_mean) - before).max()

    assert change() == 0
    assert change("network.generator.batch_statistics=true") > 0


def test_the_seed_decides_all_weights():
    first, again, other = (build(seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert sum(not np.array_equal(a, b) for a, b in zip(first, other, strict=True)) > 20
