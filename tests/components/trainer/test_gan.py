import numpy as np
import pytest
import tensorflow as tf

from components.trainer import losses
from components.trainer.gan import ColorGan
from photo.color import gray_of_mix, rgb_to_lab
from pipeline.config import load_config
from tests.components.trainer.small_networks import SMALL_NETWORKS, SMALL_PRETRAINED
from tintype.demo.scenes import render_scenes


def make(*settings):
    config = load_config(
        "demo", ["data.size=32", "train.batch_size=4", "train.precision=float32", *settings]
    ).trainer_config()
    scenes = np.stack([scene for _, scene in render_scenes(4, 0, config.size)])
    return ColorGan(config), iter(tf.data.Dataset.from_tensors(scenes).repeat())


def make_pretrained(*settings):
    config = load_config("tintype_pretrained", [*SMALL_PRETRAINED, *settings]).trainer_config()
    scenes = np.stack([scene for _, scene in render_scenes(4, 0, config.size)])
    return ColorGan(config), iter(tf.data.Dataset.from_tensors(scenes).repeat())


def kernels(model):
    return [weight.numpy() for weight in model.weights]


def test_the_averaged_weights_follow_the_trained_ones_with_a_memory_that_grows_to_the_limit():
    limit = 0.2  # reached in the second step
    gan, batches = make(*SMALL_NETWORKS, f"train.moving_average_decay={limit}")
    expected = kernels(gan.averaged)
    for step in range(1, 4):
        gan.train_steps(batches, tf.constant(1))
        decay = min(limit, (1 + step) / (10 + step))
        expected = [decay * a + (1 - decay) * w for a, w in zip(expected, kernels(gan.generator), strict=True)]
    for average, wanted in zip(kernels(gan.averaged), expected, strict=True):
        np.testing.assert_allclose(average, wanted, rtol=1e-4, atol=1e-6)


def test_several_steps_in_one_call_are_the_same_as_one_by_one():
    one_by_one, batches = make(*SMALL_NETWORKS)
    readings = [one_by_one.train_steps(batches, tf.constant(1)) for _ in range(3)]
    together, batches = make(*SMALL_NETWORKS)
    mean = together.train_steps(batches, tf.constant(3))
    for name in mean:
        assert float(mean[name]) == pytest.approx(np.mean([reading[name] for reading in readings]), rel=1e-4)
    for a, b in zip(kernels(one_by_one.generator), kernels(together.generator), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_rates_rise_and_fall_with_the_schedule():
    gan, batches = make(
        *SMALL_NETWORKS, "train.steps=8", "train.schedule.warm_up_steps=2", "train.schedule.decay=cosine"
    )
    adam = gan.config.train.optimizer
    taken = []
    for _ in range(8):
        gan.train_steps(batches, tf.constant(1))
        taken.append(float(gan.generator_optimizer.learning_rate.numpy()) / adam.generator_learning_rate)
        share = float(gan.discriminator_optimizer.learning_rate.numpy()) / adam.discriminator_learning_rate
        assert share == pytest.approx(taken[-1], rel=1e-5)
    rise = np.minimum(1, np.arange(1, 9) / 2)
    np.testing.assert_allclose(taken, rise * (1 + np.cos(np.pi * np.arange(8) / 8)) / 2, rtol=1e-5)


def test_both_networks_learn_from_a_step():
    gan, batches = make()
    before = kernels(gan.generator), kernels(gan.discriminator)
    gan.train_steps(batches, tf.constant(1))
    for old, model in zip(before, (gan.generator, gan.discriminator), strict=True):
        changed = [not np.array_equal(a, b) for a, b in zip(old, kernels(model), strict=True)]
        assert all(changed), [w.path for w, c in zip(model.weights, changed, strict=True) if not c]


def test_without_an_adversarial_weight_the_discriminator_stays_as_it_is():
    gan, batches = make(*SMALL_NETWORKS, "train.loss.adversarial_weight=0")
    before = kernels(gan.discriminator)
    reading = gan.train_steps(batches, tf.constant(1))
    assert float(reading["discriminator_loss"]) == 0
    assert all(np.array_equal(a, b) for a, b in zip(before, kernels(gan.discriminator), strict=True))


@pytest.mark.parametrize(("updates", "a_step"), [("together", 1), ("apart", 2)])
def test_a_discriminator_updated_apart_learns_twice_a_step_and_judges_the_generator_afterwards(updates, a_step):
    gan, batches = make(
        *SMALL_NETWORKS,
        f"train.loss.discriminator_updates={updates}",
        "network.generator.dropout=0",
        "network.generator.spectral_norm_iterations=0",
        "network.discriminator.spectral_norm_iterations=0",
        "train.optimizer.generator_learning_rate=1.0e-12",
        "train.optimizer.discriminator_learning_rate=0.01",
    )
    gray, _ = gan.range.split(tf.cast(next(batches), tf.float32) / 255.0)

    def adversarial_loss():
        logits = gan.discriminator([gray, gan.generator(gray, training=True)], training=True)
        return float(tf.reduce_mean(losses.adversarial_loss("non_saturating", logits)))

    before = adversarial_loss()
    reading = gan.train_steps(batches, tf.constant(1))
    after = adversarial_loss()
    assert after != pytest.approx(before, rel=0.01)
    assert int(gan.discriminator_optimizer.iterations) == a_step
    assert float(reading["adversarial_loss"]) == pytest.approx(after if updates == "apart" else before, rel=1e-3)
    assert float(reading["discriminator_gradient_norm"]) > 0


def test_the_generator_pays_for_what_its_photographs_lack_of_colorfulness():
    terms = ("reconstruction=log_l2", "reconstruction_weight=2", "adversarial_weight=0.5", "colorfulness_weight=0.25")
    gan, batches = make(*SMALL_NETWORKS, *[f"train.loss.{term}" for term in terms])
    reading = {name: float(value) for name, value in gan.train_steps(batches, tf.constant(1)).items()}
    assert reading["colorfulness_loss"] > 1  # CIE units
    expected = 2 * reading["reconstruction_loss"] + 0.5 * reading["adversarial_loss"]
    assert reading["generator_loss"] == pytest.approx(expected + 0.25 * reading["colorfulness_loss"], rel=1e-4)


def test_the_absolute_error_counts_beside_the_reconstruction_in_cie_units():
    terms = ("reconstruction=l1", "reconstruction_weight=2", "adversarial_weight=0", "absolute_error_weight=0.25")
    gan, batches = make(*SMALL_NETWORKS, *[f"train.loss.{term}" for term in terms])
    reading = {name: float(value) for name, value in gan.train_steps(batches, tf.constant(1)).items()}
    assert reading["absolute_error"] == pytest.approx(127.5 * reading["reconstruction_loss"], rel=1e-4)
    expected = 2 * reading["reconstruction_loss"] + 0.25 * reading["absolute_error"]
    assert reading["generator_loss"] == pytest.approx(expected, rel=1e-4)


def test_the_network_sees_the_gray_of_a_fourth_channel_and_learns_the_true_colors():
    def read(aged=None):
        gan, batches = make(*SMALL_NETWORKS, "network.generator.dropout=0", "train.loss.adversarial_weight=0")
        if aged is not None:
            photos = np.concatenate([next(batches), aged], axis=-1)
            batches = iter(tf.data.Dataset.from_tensors(photos).repeat())
        return {name: float(value) for name, value in gan.train_steps(batches, tf.constant(1)).items()}

    scenes = np.stack([scene for _, scene in render_scenes(4, 0, 32)])
    own_gray = np.round(gray_of_mix(scenes) * 255).astype(np.uint8)[..., None]
    plain, own, flat = read(), read(own_gray), read(np.full_like(own_gray, 128))
    assert own["reconstruction_loss"] == pytest.approx(plain["reconstruction_loss"], rel=1e-3)
    assert own["generator_gradient_norm"] == pytest.approx(plain["generator_gradient_norm"], rel=0.02)
    assert flat["generator_gradient_norm"] != pytest.approx(plain["generator_gradient_norm"], rel=0.05)


class TestPretrainedEncoder:
    def test_it_learns_at_its_own_rate_once_it_may(self):
        gan, batches = make_pretrained("train.optimizer.encoder_learning_rate=0.01")
        before = kernels(gan.generator.encoder), kernels(gan.generator.levels[0])
        gan.train_steps(batches, tf.constant(1), encoder_learns=False)
        assert all(map(np.array_equal, before[0], kernels(gan.generator.encoder)))
        assert not all(map(np.array_equal, before[1], kernels(gan.generator.levels[0])))
        gan.train_steps(batches, tf.constant(1), encoder_learns=True)
        assert not all(map(np.array_equal, before[0], kernels(gan.generator.encoder)))
        rates = [float(each.learning_rate.numpy()) for each in (gan.encoder_optimizer, gan.generator_optimizer)]
        assert rates[0] / rates[1] == pytest.approx(0.01 / 0.001, rel=1e-4)

    def test_without_a_rate_it_never_learns(self):
        gan, batches = make_pretrained("train.optimizer.encoder_learning_rate=0")
        before = kernels(gan.generator.encoder)
        gan.train_steps(batches, tf.constant(1))
        assert all(map(np.array_equal, before, kernels(gan.generator.encoder)))

    def test_the_shares_of_the_bins_follow_the_photographs_and_belong_to_a_checkpoint(self):
        gan, batches = make_pretrained()
        assert "bin_shares" in dict(gan.named_variables())
        before = gan.bin_shares.numpy()
        reading = gan.train_steps(batches, tf.constant(2), encoder_learns=False)
        shares = gan.bin_shares.numpy()
        assert shares.sum() == pytest.approx(1, abs=1e-4)
        ab = rgb_to_lab(next(batches).numpy())[..., 1:].reshape(4, 16, 4, 16, 4, 2).mean(axis=(2, 4)).reshape(-1, 1, 2)
        nearest = np.linalg.norm(ab - gan.bins.numpy(), axis=-1).argmin(axis=1)
        assert np.argmax(shares - before) == np.bincount(nearest).argmax()
        assert float(reading["distribution_loss"]) > 1

    def test_long_gradients_are_shortened(self):
        lengths = {}
        for clip in (1e-6, "null"):
            gan, batches = make_pretrained(
                f"train.optimizer.clip_norm={clip}", "train.optimizer.beta_1=0", "train.schedule.warm_up_steps=0"
            )
            reading = gan.train_steps(batches, tf.constant(1), encoder_learns=False)
            # Adam's memory of the squares tells how long the gradients were.
            squares = [v.numpy() for v in gan.generator_optimizer.variables if v.name.endswith("_velocity")]
            lengths[clip] = np.sqrt(sum(each.sum() for each in squares) / 0.001)
            assert float(reading["generator_gradient_norm"]) > 1e-3
        assert lengths[1e-6] == pytest.approx(1e-6, rel=0.01)
        assert lengths["null"] > 1e-3


@pytest.fixture(scope="module")
def plainly_read():
    """What three steps in 32 bits, not compiled, read without dropout."""
    gan, batches = make(*SMALL_NETWORKS, "network.generator.dropout=0")
    return gan.train_steps(batches, tf.constant(3))


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["train.precision=mixed_bfloat16", "train.xla=true"])
def test_a_step_in_sixteen_bits_or_compiled_learns_the_same_within_their_precision(setting, plainly_read):
    other, batches = make(*SMALL_NETWORKS, "network.generator.dropout=0", setting)
    readings = other.train_steps(batches, tf.constant(3))
    expected = float(plainly_read["reconstruction_loss"])
    assert float(readings["reconstruction_loss"]) == pytest.approx(expected, rel=0.05)
    assert {weight.dtype for weight in other.averaged.weights} == {"float32"}
