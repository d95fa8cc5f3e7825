import numpy as np
import pytest
import tensorflow as tf

from components.trainer import losses
from components.trainer.gan import ColorGan
from components.trainer.held_out import HeldOutLosses, scores
from photo.color import rgb_to_lab
from pipeline.config import load_config
from tests.components.trainer.small_networks import SMALL_NETWORKS
from tintype.demo.scenes import render_scenes


def test_what_the_networks_would_pay_is_the_mean_over_the_photographs_and_changes_nothing():
    settings = [*SMALL_NETWORKS, "data.size=32", "train.precision=float32", "train.loss.label_smoothing=0.2"]
    gan = ColorGan(load_config("demo", settings).trainer_config())
    scenes = np.stack([scene for _, scene in render_scenes(20, 0, 32)])  # more than are taken at a time
    before = [variable.numpy() for _, variable in gan.named_variables()]
    measured = HeldOutLosses(gan).measure(tf.constant(scenes))
    after = [variable.numpy() for _, variable in gan.named_variables()]
    assert all(map(np.array_equal, before, after))

    _, _, ab = gan.colorize(scenes)
    error = np.abs(ab - rgb_to_lab(scenes)[..., 1:]).mean() / 127.5
    assert measured["held_out_reconstruction_loss"] == pytest.approx(error, rel=0.01)
    gray, true = gan.range.split(tf.cast(scenes, tf.float32) / 255.0)
    real = gan.discriminator([gray, true])
    generated = gan.discriminator([gray, ab / 127.5])
    paid = losses.real_loss("non_saturating", real, 0.8) + losses.generated_loss("non_saturating", generated)
    assert measured["held_out_discriminator_loss"] == pytest.approx(0.5 * float(tf.reduce_mean(paid)), rel=1e-3)
    adversarial = float(tf.reduce_mean(losses.adversarial_loss("non_saturating", generated)))
    expected = adversarial + 100 * measured["held_out_reconstruction_loss"]
    assert measured["held_out_generator_loss"] == pytest.approx(expected, rel=1e-3)
    assert measured["held_out_discriminator_recall"] == pytest.approx(np.mean(real > 0), abs=0.01)


@pytest.mark.parametrize(("real", "generated", "precision"), [(0.9, 0.3, 0.75), (0.5, 0.0, 1.0), (0.0, 0.0, 0.0)])
def test_precision_is_the_real_share_of_what_is_called_real_and_recall_what_is_found_of_the_real(
    real, generated, precision
):
    found = scores(real, generated)
    assert found == pytest.approx({"discriminator_precision": precision, "discriminator_recall": real})
