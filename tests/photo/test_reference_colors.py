"""Colours carried over from a reference."""

import numpy as np

from photo.reference_colors import reference_colors, transfer_colors


def halves(dark: tuple[float, ...], bright: tuple[float, ...], size: int = 64) -> np.ndarray:
    """L*a*b* of a square whose left half has the one colour, its right half the other."""
    lab = np.empty((size, size, 3), np.float32)
    lab[:, : size // 2], lab[:, size // 2 :] = dark, bright
    return lab


def test_alike_places_get_the_references_colours_whatever_its_exposure():
    reference = reference_colors(halves((20, 10, -40), (60, 30, 50)))
    lightness = halves((40, 0, 0), (95, 0, 0))[..., 0].T.copy()  # brighter, and turned
    ab = transfer_colors(lightness, reference)
    assert ab.shape == (64, 64, 2)
    assert ab.dtype == np.float32
    np.testing.assert_array_equal(ab[4, 10], (10, -40))
    np.testing.assert_array_equal(ab[60, 10], (30, 50))


def test_detail_tells_places_of_the_same_lightness_apart():
    lab = halves((50, 0, 60), (50, -40, 0), size=140)
    rough = lab[:, 70:, 0]
    rough += np.random.default_rng(0).choice([-10.0, 10.0], rough.shape)
    reference = reference_colors(lab)
    ab = transfer_colors(lab[..., 0], reference)
    assert np.mean(ab[5:-5, 5:60, 1] == 60) > 0.95
    assert np.mean(ab[5:-5, 80:-5, 0] == -40) > 0.95


def test_a_photograph_without_any_contrast_is_no_error():
    flat = np.full((32, 32, 3), (50, 5, 5), np.float32)
    assert np.isfinite(transfer_colors(flat[..., 0], reference_colors(flat))).all()
    small = reference_colors(np.full((3, 2, 3), (50, 5, 5), np.float32))
    np.testing.assert_array_equal(transfer_colors(np.full((2, 2), 20, np.float32), small), np.full((2, 2, 2), 5))
