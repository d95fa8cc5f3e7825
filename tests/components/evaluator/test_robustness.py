import numpy as np

from components.evaluator.robustness import aged_lightness
from photo.color import rgb_to_lightness
from tests.components.example_artifacts import tinted_photo

SQUARES = np.stack([tinted_photo(seed, width=48) for seed in range(6)])


def test_a_photograph_ages_by_the_seed_and_its_content_in_any_company():
    aged = aged_lightness(SQUARES, 7)
    assert aged.shape == SQUARES.shape[:3]
    assert aged.dtype == np.float32
    assert np.array_equal(aged[[4, 1]], aged_lightness(SQUARES[[4, 1]], 7))
    assert not np.array_equal(aged, aged_lightness(SQUARES, 8))


def test_most_photographs_are_spoiled_and_stay_photographs():
    change = np.abs(aged_lightness(SQUARES, 7) - rgb_to_lightness(SQUARES)).mean(axis=(1, 2))
    assert np.mean(change > 0.3) > 0.5
    assert change.max() < 50
