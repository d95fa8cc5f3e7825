import numpy as np
import pytest
from skimage import data
from skimage.color import lab2rgb, rgb2lab

from components.trainer import color
from photo import color as client_color


@pytest.fixture(scope="module")
def photo():
    """A real photograph above every mixture of sixteen levels of red, green and blue; uint8 [H, 256, 3]."""
    levels = np.linspace(0, 255, 16).astype(np.uint8)
    mixtures = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(16, 256, 3)
    return np.concatenate([data.astronaut()[:256, :256], mixtures])


def test_lab_in_tensorflow_equals_scikit_image(photo):
    unit = photo.astype(np.float32) / 255
    lab = color.rgb_to_lab(unit).numpy()
    assert np.abs(lab - rgb2lab(unit)).max() < 0.01
    assert np.abs(color.lab_to_rgb(lab).numpy() - lab2rgb(rgb2lab(unit))).max() < 1e-3


def test_the_two_implementations_of_lab_agree(photo):
    lab = color.rgb_to_lab(photo.astype(np.float32) / 255).numpy()
    assert np.abs(lab - client_color.rgb_to_lab(photo)).max() < 0.5
    in_tensorflow = np.round(color.lab_to_rgb(lab).numpy() * 255)
    in_opencv = client_color.lab_to_rgb(lab.astype(np.float32))
    assert np.abs(in_tensorflow - in_opencv.astype(np.float32)).max() <= 1
