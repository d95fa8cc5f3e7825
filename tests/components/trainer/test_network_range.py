import numpy as np
import pytest
import tensorflow as tf
from skimage import data
from skimage.color import rgb2lab

from components.trainer import color
from components.trainer.network_range import NetworkRange
from pipeline.config import load_config


@pytest.fixture(scope="module")
def photo():
    return tf.constant(data.astronaut()[None, ::4, ::4] / np.float32(255))


@pytest.mark.parametrize("recipe", ["sn_unet_lab_128", "pix2pix_rgb_256", "fcn_rgb_120"])
def test_the_true_colours_come_back_from_the_network_range(recipe, photo):
    scale = NetworkRange(load_config(recipe).network)
    gray, target = scale.split(photo)
    assert np.abs(target).max() <= 1.0001
    assert np.allclose(scale.ab(target), rgb2lab(photo.numpy())[..., 1:], atol=0.02)
    lightness = color.rgb_to_lab(photo)[..., :1]
    assert np.allclose(gray, scale.gray(lightness))
    assert np.abs(gray).max() <= 1.0001


def test_the_gray_photo_of_an_rgb_recipe_has_the_same_lightness(photo):
    network = load_config("pix2pix_rgb_256").network
    gray, _ = NetworkRange(network).split(photo)
    assert gray.shape == (*photo.shape[:3], 3)
    lightness = color.rgb_to_lab((gray + 1) / 2)[..., 0]
    assert np.allclose(lightness, color.rgb_to_lab(photo)[..., 0], atol=0.05)


def test_numbers_outside_of_srgb_are_brought_into_it():
    scale = NetworkRange(load_config("fcn_rgb_120").network)
    assert np.allclose(scale.ab(tf.constant([[[[7.0, 7.0, 7.0]]]])), 0, atol=0.02)


def test_the_chroma_of_gray_is_nothing():
    for recipe in ("fcn_rgb_120", "pix2pix_rgb_256"):
        assert np.allclose(NetworkRange(load_config(recipe).network).chroma(tf.fill([1, 2, 2, 3], 0.4)), 0)


def test_saturation_multiplies_what_is_coloured_and_not_what_is_learned(photo):
    plain, rich = (NetworkRange(load_config("tintype_lab", [f"network.saturation={s}"]).network) for s in (1.0, 1.3))
    np.testing.assert_array_equal(plain.split(photo)[1], rich.split(photo)[1])
    np.testing.assert_allclose(rich.ab(plain.split(photo)[1]), 1.3 * plain.ab(plain.split(photo)[1]), rtol=1e-5)
