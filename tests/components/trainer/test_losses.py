import numpy as np
import pytest

from components.trainer import losses


def logits(*values: float) -> np.ndarray:
    return np.float32(values).reshape(-1, 1, 1, 1)


def test_every_loss_gives_one_value_per_example():
    maps, colors = np.zeros((3, 4, 4, 1), np.float32), np.ones((3, 8, 8, 2), np.float32)
    for kind in ("non_saturating", "hinge"):
        assert losses.adversarial_loss(kind, maps).shape == (3,)
        assert losses.discriminator_loss(kind, maps, maps, 0.1).shape == (3,)
    assert np.allclose(losses.reconstruction_loss("l1", colors, 3 * colors), 2)
    assert np.allclose(losses.reconstruction_loss("l2", colors, 3 * colors), 4)


def test_cross_entropy_at_undecided_logits_is_log_two():
    assert losses.adversarial_loss("non_saturating", logits(0)).numpy() == pytest.approx(np.log(2))
    assert losses.discriminator_loss("non_saturating", logits(0), logits(0), 0.0).numpy() == pytest.approx(np.log(2))


def test_the_generator_gains_when_its_photos_pass_for_real_and_the_discriminator_when_they_do_not():
    for kind in ("non_saturating", "hinge"):
        fooled, caught = losses.adversarial_loss(kind, logits(2, -2)).numpy()
        assert fooled < caught
        right = losses.discriminator_loss(kind, logits(2), logits(-2), 0.0).numpy()
        assert right < losses.discriminator_loss(kind, logits(-2), logits(2), 0.0).numpy()


def test_label_smoothing_is_one_sided():
    def loss(real, fake):
        return losses.discriminator_loss("non_saturating", logits(real), logits(fake), 0.1).numpy()

    # The best answer to a real photo is the logit of 0.9, more is worse again; to a fake one, the lower the better.
    best = np.log(0.9 / 0.1)
    assert loss(best, -3) < loss(best + 3, -3)
    assert loss(best, -6) < loss(best, -3)
