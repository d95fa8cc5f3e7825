"""Colours carried over from a reference."""

import numpy as np
import pytest

from photo.coloring_options import ColoringOptions
from photo.encoding import encode_photo
from photo.looks import in_palette
from photo.reference_colors import (
    in_colors_of,
    parse_reference,
    reference_colors,
    reference_of,
    reference_of_file,
    transfer_colors,
)


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


def test_colours_move_to_those_of_alike_places_and_none_is_left_where_it_was():
    reference = reference_colors(halves((40, 50, 20), (80, 0, -50)))
    light = halves((30, 0, 0), (70, 0, 0))[..., 0]
    found = halves((0, 20, 10), (0, 0, -15))[..., 1:].copy()
    moved = in_colors_of(light, found, reference)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved[32, 5], (45.5, 18.5), atol=2)
    np.testing.assert_allclose(moved[32, 60], (0, -44.7), atol=2)


def test_a_reference_is_a_text_of_a_thousand_letters_that_gives_the_same_colours(astronaut, tmp_path):
    (tmp_path / "reference.png").write_bytes(encode_photo(astronaut, "PNG"))
    text = reference_of_file(str(tmp_path / "reference.png"))
    assert len(text) < 1100
    exact = reference_of(astronaut)
    np.testing.assert_allclose(parse_reference(text).samples, exact.samples, atol=0.51)
    light = np.full((8, 8), 50, np.float32)
    shown = in_palette(light, np.zeros((8, 8, 2), np.float32), ColoringOptions(reference=text))
    np.testing.assert_allclose(shown, in_colors_of(light, np.zeros((8, 8, 2), np.float32), exact), atol=0.5)


@pytest.mark.parametrize("text", ["x", "abc", "ab cd", "é" * 4, "QUJD", "A" * 2000, "=" * 4])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match="reference: expected the colours of a photograph"):
        ColoringOptions(reference=text)


def test_a_reference_that_has_no_colours_or_cannot_be_read_is_said(tmp_path):
    (tmp_path / "gray.png").write_bytes(encode_photo(np.full((20, 20, 3), 90, np.uint8), "PNG"))
    (tmp_path / "no.jpg").write_bytes(b"no photograph")
    for name, words in (
        ("gray.png", "is gray"),
        ("no.jpg", "no.jpg: "),
        ("absent.jpg", "cannot be read: No such file"),
    ):
        with pytest.raises(ValueError, match=f"reference: .*{words}"):
            reference_of_file(str(tmp_path / name))
