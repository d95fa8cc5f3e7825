import cv2
import numpy as np
import pytest
from skimage import data

from photo.color import rgb_to_lab
from photo.geometry import resize
from photo.upsampling import upsample_color


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_upsampling_beats_bilinear_everywhere_and_most_at_edges(name):
    lab = rgb_to_lab(getattr(data, name)())
    lightness, ab = np.ascontiguousarray(lab[..., 0]), np.ascontiguousarray(lab[..., 1:])
    height, width = lightness.shape
    small = [resize(image, round(height * 128 / width), 128) for image in (ab, lightness)]

    truth_gradient = sum(np.abs(gradient) for gradient in np.gradient(ab, axis=(0, 1))).sum(-1)
    edges = truth_gradient > np.quantile(truth_gradient, 0.9)

    def errors(upsampled):
        distance = np.linalg.norm(upsampled - ab, axis=-1)
        return distance.mean(), distance[edges].mean()

    ours, ours_at_edges = errors(upsample_color(*small, lightness))
    bilinear, bilinear_at_edges = errors(cv2.resize(small[0], (width, height), interpolation=cv2.INTER_LINEAR))
    assert ours < 0.95 * bilinear
    assert ours_at_edges < 0.95 * bilinear_at_edges


def test_grain_in_the_lightness_hardly_becomes_colour():
    lab = rgb_to_lab(data.astronaut())
    small = [resize(np.ascontiguousarray(image), 128, 128) for image in (lab[..., 1:], lab[..., 0])]
    grain = np.random.default_rng(0).normal(0, 5, lab.shape[:2]).astype(np.float32)
    clean = upsample_color(*small, np.ascontiguousarray(lab[..., 0]))
    grainy = upsample_color(*small, lab[..., 0] + grain)
    assert np.linalg.norm(grainy - clean, axis=-1).mean() < 0.8  # of 5 units of grain


def test_an_edge_of_lightness_becomes_an_edge_of_colour():
    lightness = np.full((64, 64), 20, np.float32)
    lightness[:, 29:] = 80  # not on the grid of the small image
    ab = np.dstack([lightness, -lightness])
    small = [resize(image, 16, 16) for image in (ab, lightness)]
    upsampled = upsample_color(*small, lightness)
    bilinear = cv2.resize(small[0], (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.abs(upsampled - ab).max() < 0.3 * np.abs(bilinear - ab).max()


def test_flat_colour_stays_flat():
    lightness = np.random.default_rng(0).uniform(0, 100, (300, 200)).astype(np.float32)
    ab = np.full((24, 16, 2), (20.0, -30.0), np.float32)
    np.testing.assert_allclose(
        upsample_color(ab, resize(lightness, 24, 16), lightness), np.full((300, 200, 2), (20, -30)), atol=1e-2
    )


@pytest.mark.parametrize("full", [(1, 1), (1, 50), (7, 3), (16, 12), (300, 225)])
def test_every_size_works(full):
    lightness = np.full(full, 50, np.float32)
    ab = np.ones((16, 12, 2), np.float32)
    assert upsample_color(ab, np.full((16, 12), 50, np.float32), lightness).shape == (*full, 2)


def test_contradicting_shapes_are_named():
    with pytest.raises(ValueError, match=r"expected ab of shape \(4, 4, 2\)"):
        upsample_color(np.zeros((3, 4, 2)), np.zeros((4, 4)), np.zeros((8, 8)))
