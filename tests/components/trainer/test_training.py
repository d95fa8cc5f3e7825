import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer.decoded_photos import example_files
from components.trainer.stopping import TrainingDivergedError
from components.trainer.training import train
from pipeline.config import load_config
from tests.components.trainer.small_networks import SMALL_NETWORKS

ROOT = Path(__file__).parents[3]


def run(examples, out, *settings):
    config = load_config("demo", ["data.size=32", "train.batch_size=8", "train.log_every=5", *settings])
    summary = train(
        config.trainer_config(),
        example_files(examples, "train"),
        example_files(examples, "eval"),
        model_folder=str(out / "model"),
        run_folder=str(out / "run"),
    )
    return summary, tf.saved_model.load(str(out / "model"))


@pytest.fixture(scope="module")
def trained(examples, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return (*run(examples, out, "train.steps=30", "train.picture_every=10"), out)


def test_a_short_run_learns_and_leaves_its_record(trained):
    summary, _, out = trained
    assert (summary.stopped, summary.steps) == ("finished", 30)
    assert summary.history[-1]["reconstruction_loss"] < 0.8 * summary.history[0]["reconstruction_loss"]
    assert json.loads((out / "run" / "training.json").read_text())["steps"] == 30
    assert sorted(path.name for path in (out / "run" / "pictures").iterdir()) == [
        f"step_{step:06d}.png" for step in (10, 20, 30)
    ]
    picture = tf.io.decode_png((out / "run" / "pictures" / "step_000030.png").read_bytes())
    assert picture.shape[1] == 3 * 32  # gray, coloured, true
    assert (out / "run" / "curves.png").stat().st_size > 5000
    for name in ("generator_loss", "discriminator_loss", "discriminator_precision", "discriminator_recall"):
        assert all({name, f"held_out_{name}"} <= row.keys() for row in summary.history)
    assert list((out / "run").glob("events.out.tfevents.*"))


def test_the_model_keeps_the_serving_contract(trained):
    _, model, out = trained
    ab = model.signatures["serving_default"](L=tf.fill([2, 32, 64, 1], 50.0))["ab"]
    assert ab.shape == (2, 32, 64, 2)
    assert np.isfinite(ab).all()
    described = model.signatures["describe"](name=tf.constant(["", ""]))
    assert described["recipe"].numpy().tolist() == [b"demo", b"demo"]
    assert (described["size"].numpy()[0], described["stride"].numpy()[0]) == (32, 32)
    assert len(described["fingerprint"].numpy()[0]) == 16
    assert (out / "model" / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0


def test_colorize_bytes_gives_jpegs_of_the_photos_own_sizes(trained):
    _, model, _ = trained
    gray = tf.fill([30, 90, 3], tf.constant(120, tf.uint8))
    photos = tf.stack([tf.io.encode_jpeg(gray), tf.io.encode_png(tf.transpose(gray, [1, 0, 2]))])
    colored = model.signatures["colorize_bytes"](bytes=photos)["image_bytes"].numpy()
    assert [tf.io.decode_jpeg(photo).shape for photo in colored] == [(30, 90, 3), (90, 30, 3)]


def test_the_exported_model_colours_as_the_averaged_generator_did(trained, examples):
    """Folding spectral normalisation into the kernels must not change what was measured while training."""
    from components.trainer import color
    from components.trainer.decoded_photos import first_squares

    summary, model, _ = trained
    lab = color.rgb_to_lab(tf.cast(first_squares(example_files(examples, "eval"), size=32, count=8), tf.float32) / 255)
    ab = model.signatures["serving_default"](L=lab[..., :1])["ab"]
    ratio = float(tf.reduce_mean(tf.abs(ab - lab[..., 1:])) / tf.reduce_mean(tf.abs(lab[..., 1:])))
    assert ratio == pytest.approx(summary.history[-1]["ab_mae_ratio"], abs=1e-3)


@pytest.mark.slow
def test_the_same_seed_trains_the_same_weights(trained, examples, tmp_path):
    first = trained[1].signatures["describe"](name=tf.constant([""]))["fingerprint"].numpy()
    _, again = run(examples, tmp_path / "again", "train.steps=30", "train.picture_every=10")
    _, other = run(examples, tmp_path / "other", "train.steps=30", "train.picture_every=10", "seed=5")
    assert again.signatures["describe"](name=tf.constant([""]))["fingerprint"].numpy() == first
    assert other.signatures["describe"](name=tf.constant([""]))["fingerprint"].numpy() != first


def test_divergence_stops_training_and_keeps_the_last_good_weights(examples, tmp_path, monkeypatch):
    from components.trainer import gan

    steps = gan.ColorGan.train_steps

    def diverge_after_ten(self, batches, count, **kwargs):
        if int(self.step) >= 10:
            self.generator.weights[0].assign(self.generator.weights[0] * float("nan"))
        return steps(self, batches, count, **kwargs)

    monkeypatch.setattr(gan.ColorGan, "train_steps", diverge_after_ten)
    summary, model = run(examples, tmp_path, *SMALL_NETWORKS, "train.steps=40", "train.picture_every=5")
    assert summary.stopped == "diverged"
    assert 10 <= summary.steps < 20
    assert np.isfinite(model.signatures["serving_default"](L=tf.fill([1, 32, 32, 1], 50.0))["ab"]).all()


def test_a_collapse_stops_training_and_keeps_the_last_good_weights(examples, tmp_path, monkeypatch):
    from components.trainer import gan

    steps = gan.ColorGan.train_steps

    def collapse_after_twenty(self, batches, count, **kwargs):
        if int(self.step) >= 20:
            for network in (self.generator, self.averaged):
                network.get_layer("color").kernel.assign(tf.zeros_like(network.get_layer("color").kernel))
        return steps(self, batches, count, **kwargs)

    monkeypatch.setattr(gan.ColorGan, "train_steps", collapse_after_twenty)
    settings = [*SMALL_NETWORKS, "train.steps=60", "train.log_every=1", "train.picture_every=5"]
    summary, model = run(examples, tmp_path, *settings)
    assert summary.stopped == "collapsed"
    assert summary.steps == 25
    lightness = tf.random.uniform([2, 32, 32, 1], 20, 80, seed=1)
    assert float(tf.math.reduce_std(model.signatures["serving_default"](L=lightness)["ab"])) > 0


def test_the_generator_can_learn_alone_before_its_adversary_joins(examples, tmp_path):
    settings = ["train.steps=8", "train.picture_every=2", "train.loss.adversarial_start=0.5"]
    summary, _ = run(examples, tmp_path, *SMALL_NETWORKS, *settings)
    assert [row["discriminator_loss"] > 0 for row in summary.history] == [False, False, True, True]


def test_divergence_in_the_first_step_is_an_error(examples, tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"first 1 step.*lower train\.optimizer"):
        run(examples, tmp_path, *SMALL_NETWORKS, "train.steps=5", "train.loss.reconstruction_weight=1.0e+40")


@pytest.mark.slow
def test_time_can_end_a_run(examples, tmp_path):
    summary, _ = run(examples, tmp_path, *SMALL_NETWORKS, "train.steps=100000", "train.max_minutes=0.02")
    assert summary.stopped == "time"
    assert summary.steps < 100_000
    assert summary.history


@pytest.mark.slow
def test_two_devices_train_mirrored(examples, tmp_path):
    """In a process of its own: logical devices are set before TensorFlow starts."""
    script = """
import sys, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from tests.components.trainer.test_training import run
summary, _ = run(sys.argv[1], Path(sys.argv[2]), "train.steps=10", "train.picture_every=10", "train.strategy=mirrored")
assert "mirrored over 2 CPUs" in summary.strategy, summary.strategy
assert summary.steps == 10
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script, examples, str(tmp_path)], check=True, env=environment, timeout=300)
