import errno
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from components.trainer import decoded_photos
from components.trainer.decoded_photos import example_files
from components.trainer.gan import ColorGan
from components.trainer.input_pipeline import training_batches
from components.trainer.kept_maps import keep_maps, kept_batches
from components.trainer.stopping import TrainingStoppedError
from components.trainer.training import train
from photo.errors import TintypeError
from pipeline.config import ConfigError, load_config
from tests.components.trainer.small_networks import SMALL_PRETRAINED
from tintype.demo.scenes import render_scenes

VIEWS = 3


def config_of(*settings):
    wanted = (*SMALL_PRETRAINED, f"train.kept_views={VIEWS}", "train.optimizer.encoder_frozen_steps=4")
    return load_config("tintype_pretrained", [*wanted, *settings]).trainer_config()


@pytest.fixture(scope="module")
def gan():
    return ColorGan(config_of())


@pytest.fixture(scope="module")
def photos():
    return np.stack([scene for _, scene in render_scenes(5, 0, 64)])


@pytest.fixture(scope="module")
def kept(gan, photos, tmp_path_factory):
    return keep_maps(gan, photos, None, str(tmp_path_factory.mktemp("kept")), "photos")


def test_the_views_are_the_squares_of_the_first_epochs(gan, photos, kept):
    batches = training_batches(photos, size=64, batch_size=5, augmentation=gan.config.train.augmentation, seed=0)
    expected = np.concatenate(list(batches.take(VIEWS).as_numpy_iterator()))
    np.testing.assert_array_equal(kept[0], expected)


def test_beside_each_lies_what_the_encoder_sees_of_it(gan, kept):
    assert [part.shape[1:3] for part in kept[1:]] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    for part, seen in zip(kept[1:], gan.encode(tf.constant(kept[0])), strict=True):
        np.testing.assert_allclose(np.float32(part), np.float32(seen), atol=2e-3, rtol=2e-3)


def test_they_are_made_once(gan, photos, tmp_path, monkeypatch):
    first = keep_maps(gan, photos, None, str(tmp_path), "photos")
    monkeypatch.setattr(ColorGan, "encode", None)
    for one, other in zip(first, keep_maps(gan, photos, None, str(tmp_path), "photos"), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(TypeError):
        keep_maps(gan, photos, None, str(tmp_path), "other photos")
    assert len(list(tmp_path.iterdir())) == 1, "nothing half made is left"


def test_a_full_disk_is_said(gan, photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(decoded_photos.os, "posix_fallocate", full)
    with pytest.raises(TintypeError, match=r"cannot be kept in .*: No space left on device"):
        keep_maps(gan, photos, None, str(tmp_path), "photos")


def test_every_round_has_every_view_once_in_another_order_that_the_seed_decides(kept):
    def rounds(**options):
        batches = kept_batches(kept, batch_size=5, **options)
        return [next_[0] for next_ in batches.take(2 * VIEWS).as_numpy_iterator()]

    first = np.concatenate(rounds(seed=0)).reshape(2, 5 * VIEWS, -1).astype(int).sum(axis=-1)
    assert sorted(first[0]) == sorted(first[1]) == sorted(np.int64(kept[0]).sum(axis=(1, 2, 3)))
    assert list(first[0]) != list(first[1])
    for one, other in zip(rounds(seed=0)[2:], rounds(seed=0, first_step=2), strict=False):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(rounds(seed=0), rounds(seed=1), strict=True))


def test_each_replica_gets_its_rows(kept):
    whole = next(iter(kept_batches(kept, batch_size=4, seed=0)))
    halves = list(kept_batches(kept, batch_size=4, seed=0, shares=[(0, 2), (2, 4)]).take(2))
    for part, *parts in zip(whole, *halves, strict=True):
        np.testing.assert_array_equal(part, np.concatenate(parts))


def test_a_step_on_kept_maps_is_a_step_on_the_photographs(kept):
    def step_on(batch):
        gan = ColorGan(config_of("train.optimizer.beta_1=0"))
        batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
        reading = gan.train_steps(batches, tf.constant(1), encoder_learns=False)
        return {name: float(value) for name, value in reading.items()}

    maps = tuple(tf.constant(part[:4]) for part in kept)
    # The maps are kept in 16 bits, and the gradient through a distribution that hints narrow shows it most.
    assert step_on(maps) == pytest.approx(step_on(maps[0]), rel=0.05, abs=1e-3)


def test_what_changes_every_step_cannot_be_kept():
    with pytest.raises(ConfigError, match="gamma and grain must be 0 with kept_views"):
        config_of("train.augmentation.grain=2")


@pytest.mark.slow
def test_a_run_that_was_stopped_while_its_encoder_was_frozen_ends_with_the_same_weights(
    examples, tmp_path, monkeypatch
):
    def run(out):
        summary = train(
            config_of("train.steps=6", "train.checkpoint_every=2", "train.log_every=2", "train.picture_every=6"),
            example_files(examples, "train"),
            example_files(examples, "eval"),
            model_folder=str(out / "model"),
            run_folder=str(out / "run"),
            checkpoint_folder=str(out / "checkpoints"),
        )
        loaded = tf.saved_model.load(str(out / "model"))
        return summary, loaded.signatures["describe"](name=tf.constant([""]))["fingerprint"].numpy()[0]

    _, expected = run(tmp_path / "whole")
    steps, calls = ColorGan.train_steps, []

    def terminated(self, batches, count, **kwargs):
        calls.append(kwargs["encoder_learns"])
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return steps(self, batches, count, **kwargs)

    monkeypatch.setattr(ColorGan, "train_steps", terminated)
    with pytest.raises(TrainingStoppedError):
        run(tmp_path / "stopped")
    assert calls == [False, False]
    summary, fingerprint = run(tmp_path / "stopped")
    assert 0 < summary.resumed_at < 4
    assert calls[-1]
    assert fingerprint == expected
