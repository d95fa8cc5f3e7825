import numpy as np
import pytest
import tensorflow as tf

from components.trainer.config import HintsConfig
from components.trainer.simulated_hints import simulate_hints

COLORS = np.random.default_rng(0).uniform(-1, 1, (400, 32, 48, 2)).astype(np.float32)


def hints_of(*, step=3, seed=0, colors=COLORS, **config):
    return simulate_hints(tf.constant(colors), HintsConfig(**config), seed=seed, step=tf.constant(step)).numpy()


def test_half_of_the_photographs_get_no_hint():
    has_hints = hints_of()[..., 2].any(axis=(1, 2))
    assert has_hints.mean() == pytest.approx(0.5, abs=0.1)
    assert not hints_of(share_without=1.0).any()


def test_a_hint_of_one_pixel_has_the_colour_of_the_pixel():
    hints = hints_of(share_without=0.0, largest_patch=1)
    mask = hints[..., 2] > 0
    np.testing.assert_allclose(hints[mask][:, :2], COLORS[mask], atol=1e-5)
    assert (hints[~mask] == 0).all()


def test_their_number_is_geometric_about_its_mean():
    points = (hints_of(share_without=0.0, largest_patch=1, mean_points=3.0)[..., 2] > 0).sum(axis=(1, 2))
    assert points.min() == 1
    assert points.mean() == pytest.approx(3, abs=0.5)
    assert (points == 1).mean() == pytest.approx(1 / 3, abs=0.1)


def test_a_patch_has_the_mean_colour_of_the_photograph_there():
    seen = set()
    for photo, hints in zip(COLORS, hints_of(share_without=0.0, mean_points=1.0001, largest_patch=9), strict=True):
        mask = hints[..., 2] > 0
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        assert mask.sum() == len(rows) * len(columns), "one square"
        seen.add((len(rows), len(columns)))
        np.testing.assert_allclose(hints[mask][:, :2], np.tile(photo[mask].mean(axis=0), (mask.sum(), 1)), atol=1e-4)
    assert {(side, side) for side in (1, 3, 5, 7, 9)} <= seen


def test_they_follow_from_seed_and_step():
    np.testing.assert_array_equal(hints_of(), hints_of())
    assert not np.array_equal(hints_of(), hints_of(step=4))
    assert not np.array_equal(hints_of(), hints_of(seed=1))
