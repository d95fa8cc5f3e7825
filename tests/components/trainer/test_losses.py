import numpy as np
import pytest
import tensorflow as tf

from components.trainer import losses
from components.trainer.config import LossConfig


def logits(*values: float) -> np.ndarray:
    return np.float32(values).reshape(-1, 1, 1, 1)


def test_every_loss_gives_one_value_per_example():
    maps, colors = np.zeros((3, 4, 4, 1), np.float32), np.ones((3, 8, 8, 2), np.float32)
    for kind in ("non_saturating", "least_squares", "hinge"):
        assert losses.adversarial_loss(kind, maps).shape == (3,)
        assert losses.real_loss(kind, maps, 0.9).shape == (3,)
        assert losses.generated_loss(kind, maps, 0.1).shape == (3,)
        assert losses.called_real(kind, maps).shape == (3,)
    assert losses.color_repulsion(colors).shape == (3,)
    assert np.allclose(losses.reconstruction_loss("l1", colors, 3 * colors), 2)
    assert np.allclose(losses.reconstruction_loss("l2", colors, 3 * colors), 4)


def test_cross_entropy_at_undecided_logits_is_log_two():
    assert losses.adversarial_loss("non_saturating", logits(0)).numpy() == pytest.approx(np.log(2))
    assert losses.real_loss("non_saturating", logits(0)).numpy() == pytest.approx(np.log(2))
    assert losses.generated_loss("non_saturating", logits(0)).numpy() == pytest.approx(np.log(2))


def test_the_generator_gains_when_its_photos_pass_for_real_and_the_discriminator_when_they_do_not():
    for kind, real, fake in (("non_saturating", 2, -2), ("least_squares", 1, 0), ("hinge", 2, -2)):
        fooled, caught = losses.adversarial_loss(kind, logits(real, fake)).numpy()
        assert fooled < caught
        right, wrong = losses.real_loss(kind, logits(real, fake)).numpy()
        assert right < wrong
        right, wrong = losses.generated_loss(kind, logits(fake, real)).numpy()
        assert right < wrong
        assert losses.called_real(kind, logits(real, fake)).numpy().tolist() == [1, 0]


@pytest.mark.parametrize(("kind", "real", "generated"), [("one_sided", 0.9, 0.0), ("two_sided", 0.95, 0.05)])
def test_label_smoothing_moves_the_target_of_real_photos_or_of_both(kind, real, generated):
    targets = LossConfig(label_smoothing=0.1, label_smoothing_kind=kind).discriminator_targets
    assert targets == pytest.approx((real, generated))


def test_the_best_answer_to_a_smoothed_target_is_its_logit_and_more_is_worse_again():
    best = np.log(0.95 / 0.05)
    below, at, beyond = losses.real_loss("non_saturating", logits(best - 1, best, best + 1), 0.95).numpy()
    assert at < min(below, beyond)
    below, at, beyond = losses.generated_loss("non_saturating", logits(-best - 1, -best, -best + 1), 0.05).numpy()
    assert at < min(below, beyond)


def test_least_squares_are_zero_at_their_targets():
    assert losses.real_loss("least_squares", logits(1)).numpy() == 0
    assert losses.real_loss("least_squares", logits(0.95), 0.95).numpy() == pytest.approx(0, abs=1e-7)
    assert losses.generated_loss("least_squares", logits(0)).numpy() == 0
    assert losses.generated_loss("least_squares", logits(0.05), 0.05).numpy() == pytest.approx(0, abs=1e-7)
    assert losses.adversarial_loss("least_squares", logits(1)).numpy() == 0


def test_the_cosine_distance_is_of_directions_alone():
    true = np.float32(np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)))
    assert np.allclose(losses.reconstruction_loss("cosine", true, 0.3 * true), 0, atol=1e-6)
    assert np.allclose(losses.reconstruction_loss("cosine", true, -true), 2, atol=1e-6)
    assert np.isfinite(losses.reconstruction_loss("cosine", true, np.zeros_like(true))).all()


def test_color_repulsion_is_high_when_every_photo_of_a_batch_has_the_same_colours():
    photos = np.float32(np.random.default_rng(0).normal(size=(4, 8, 8, 2)))
    assert np.allclose(losses.color_repulsion(np.repeat(photos[:1], 4, axis=0)), 1, atol=1e-5)
    assert np.all(losses.color_repulsion(photos) < 0.3)
    assert np.allclose(losses.color_repulsion(photos[:1]), 0)
    assert np.allclose(losses.color_repulsion(np.zeros_like(photos)), 0)


def test_color_diversity_is_the_share_of_the_true_one():
    true = np.random.default_rng(0).normal(0, 1, (8, 4, 4, 2)).astype(np.float32)
    assert float(losses.color_diversity(0.3 * true, true)) == pytest.approx(0.3, rel=1e-4)
    alike = np.repeat(true[:1], 8, axis=0)
    assert float(losses.color_diversity(alike, true)) == pytest.approx(0, abs=1e-6)
    assert float(losses.color_diversity(true[:1], true[:1])) == 0


def test_huber_is_squared_near_and_absolute_far_with_the_slope_of_l1():
    true = np.zeros((2, 1, 1, 1), np.float32)
    predicted = np.float32([0.05, 0.7]).reshape(2, 1, 1, 1)
    loss = losses.reconstruction_loss("huber", true, predicted, huber_delta=0.1)
    np.testing.assert_allclose(loss, [0.05**2 / 0.2, 0.7 - 0.05], rtol=1e-5)


def test_log_l2_is_the_psnr_but_for_sign_factor_and_constant():
    true = np.zeros((3, 4, 4, 2), np.float32)
    predicted = true + np.float32([1, 10, 100]).reshape(3, 1, 1, 1)
    loss = losses.reconstruction_loss("log_l2", true, predicted, log_floor=0.01).numpy()
    np.testing.assert_allclose(np.diff(loss) * 10 / np.log(10), [20, 20], rtol=1e-3)
    assert losses.reconstruction_loss("log_l2", true, true).numpy().tolist() == [0, 0, 0]
    below_floor = losses.reconstruction_loss("log_l2", true, predicted, log_floor=1000.0).numpy()
    np.testing.assert_allclose(below_floor[:2], [1e-6, 1e-4], rtol=1e-2)


def test_colorfulness_is_of_the_spread_and_a_third_of_the_mean_of_a_photo():
    one_colour = np.zeros((1, 8, 8, 2), np.float32) + np.float32([3, 4])
    assert losses.colorfulness(one_colour).numpy() == pytest.approx(0.37 * 5, rel=1e-4)
    stripes = np.zeros((1, 8, 8, 2), np.float32)
    stripes[:, ::2], stripes[:, 1::2] = (6, 8), (-6, -8)
    assert losses.colorfulness(stripes).numpy() == pytest.approx(10, rel=1e-4)


def test_the_colorfulness_loss_is_what_a_photo_lacks_and_has_a_gradient_on_a_gray_one():
    true = np.float32(np.random.default_rng(0).normal(size=(2, 8, 8, 2)))
    whole = losses.colorfulness(true).numpy()
    np.testing.assert_allclose(losses.colorfulness_loss(true, 0.25 * true), 0.75 * whole, rtol=1e-3)
    assert losses.colorfulness_loss(true, 2 * true).numpy().tolist() == [0, 0]
    gray = tf.zeros_like(true)
    with tf.GradientTape() as tape:
        tape.watch(gray)
        loss = losses.colorfulness_loss(true, gray)
    assert np.isfinite(tape.gradient(loss, gray)).all()
