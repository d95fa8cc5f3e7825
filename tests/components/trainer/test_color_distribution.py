import numpy as np
import pytest
import tensorflow as tf

from components.trainer import losses
from components.trainer.color_bins import color_bins
from components.trainer.color_distribution import (
    annealed_mean,
    color_spread,
    likely_colors,
    rebalancing_weights,
    soft_encode,
)

BINS = tf.constant(color_bins(10))


def logits_of(*shares):
    """One place; the shares of bins, given as {(a, b): share}."""
    values = np.full((1, 1, 1, len(BINS)), -30.0, np.float32)
    for (a, b), share in shares:
        values[0, 0, 0, BINS.numpy().tolist().index([a, b])] = np.log(share)
    return tf.constant(values)


def test_a_colour_counts_for_the_bins_around_it():
    shares = soft_encode(tf.constant([[[[20.0, 34.0]]]]), BINS, 10).numpy()[0, 0, 0]
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    nearest = [tuple(BINS.numpy()[place]) for place in shares.argsort()[::-1][:2]]
    assert nearest == [(20, 30), (20, 40)]
    # exp(-4^2 / 50) and exp(-6^2 / 50)
    assert np.sort(shares)[-2] / shares.max() == pytest.approx(np.exp(-20 / 50), rel=1e-3)
    assert shares @ BINS.numpy() == pytest.approx([20, 34], abs=1.0)


def test_rare_colours_count_more_and_a_pixel_counts_one_on_average():
    shares = tf.constant([0.7, 0.29, 0.01])
    weights = rebalancing_weights(shares, 0.5).numpy()
    assert weights[0] < weights[1] < weights[2]
    assert (shares.numpy() * weights).sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(rebalancing_weights(shares, 1.0), 1, rtol=1e-5)


def test_the_annealed_mean_goes_from_the_mean_to_the_likeliest_colour():
    logits = logits_of(((50, 0), 0.6), ((-10, 0), 0.4))
    np.testing.assert_allclose(annealed_mean(logits, BINS, 1.0)[0, 0, 0], [26, 0], atol=0.01)
    np.testing.assert_allclose(annealed_mean(logits, BINS, 0.02)[0, 0, 0], [50, 0], atol=0.01)


def test_the_likeliest_colours_come_first_with_their_shares():
    colors, shares = likely_colors(logits_of(((50, 0), 0.3), ((-10, 20), 0.6), ((0, 0), 0.1)), BINS, 3)
    np.testing.assert_allclose(colors[0, 0, 0], [[-10, 20], [50, 0], [0, 0]])
    np.testing.assert_allclose(shares[0, 0, 0], [0.6, 0.3, 0.1], atol=1e-4)


def test_the_spread_is_that_of_the_distribution():
    assert float(color_spread(logits_of(((30, 0), 0.5), ((-10, 0), 0.5)), BINS)[0, 0, 0, 0]) == pytest.approx(20, 1e-3)
    assert float(color_spread(logits_of(((30, 0), 1.0)), BINS)[0, 0, 0, 0]) == pytest.approx(0, abs=0.05)


def test_the_loss_of_a_distribution_is_least_for_the_true_one_and_weighs_its_bins():
    true = tf.nn.softmax(logits_of(((30, 0), 0.5), ((-10, 0), 0.5)))
    even = tf.ones(len(BINS))
    right = losses.distribution_loss(tf.math.log(true + 1e-9), true, even).numpy()
    assert right == pytest.approx([np.log(2)], rel=1e-3)
    assert losses.distribution_loss(logits_of(((30, 0), 0.9), ((-10, 0), 0.1)), true, even).numpy() > right + 0.4
    assert losses.distribution_loss(tf.math.log(true + 1e-9), true, 3 * even).numpy() == pytest.approx(3 * right)
