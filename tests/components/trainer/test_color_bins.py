import numpy as np

from components.trainer.color_bins import color_bins
from photo.color import lab_to_rgb, rgb_to_lab


def test_every_bin_is_a_colour_of_the_gamut_and_gray_is_one():
    bins = color_bins(10)
    assert [0, 0] in bins.tolist()
    lightness = np.arange(101, dtype=np.float32)[None, :, None]
    lab = np.concatenate([np.repeat(lightness, len(bins), 0), np.repeat(bins[:, None], 101, 1)], axis=-1)
    back = rgb_to_lab(lab_to_rgb(lab, np.float32))
    assert np.abs(back - lab).max(axis=-1).min(axis=1).max() < 0.05


def test_the_bins_of_a_spacing_are_always_the_same():
    """The network's last layer has one output for each."""
    assert [len(color_bins(spacing)) for spacing in (5, 10, 20)] == [891, 225, 57]


def test_no_colour_of_a_photograph_is_far_from_a_bin():
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    ab = rgb_to_lab(rgb)[:, 1:]
    assert np.linalg.norm(ab[:, None] - color_bins(10), axis=-1).min(axis=1).max() < 13
