import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer import checkpoints as module
from components.trainer.checkpoints import CheckpointMismatchError, Checkpoints, Progress
from components.trainer.decoded_photos import example_files
from components.trainer.gan import ColorGan
from components.trainer.stopping import TrainingStoppedError
from components.trainer.training import train
from photo.errors import TintypeError
from pipeline.config import load_config
from tests.components.trainer.small_networks import SMALL_NETWORKS

ROOT = Path(__file__).parents[3]
STEPS = 24
LONG = ("train.steps=150", "train.checkpoint_every=5")


def config(*settings):
    small = ["data.size=32", "train.batch_size=4", "train.log_every=4", "train.picture_every=12"]
    return load_config("demo", [*small, *SMALL_NETWORKS, f"train.steps={STEPS}", *settings]).trainer_config()


@pytest.fixture(scope="module")
def gan():
    return ColorGan(config())


def values(gan):
    return {name: variable.numpy() for name, variable in gan.named_variables()}


@pytest.fixture
def saved(gan, tmp_path):
    """Three checkpoints were written; the values at the last two, by step."""
    checkpoints = Checkpoints(str(tmp_path / "checkpoints"), config(), "photos")
    kept = {}
    for step in (1, 2, 3):
        gan.step.assign(step)
        gan.generator.weights[0].assign(tf.fill(gan.generator.weights[0].shape, float(step)))
        checkpoints.save(gan, Progress(seconds=10.0 * step, history=[{"step": step}]))
        kept[step] = values(gan)
    gan.step.assign(99)
    return checkpoints, tmp_path / "checkpoints", kept


def test_the_last_two_are_kept_and_the_newest_comes_back_whole(gan, saved):
    checkpoints, folder, kept = saved
    assert sorted(path.name for path in folder.iterdir()) == ["step_0000000002", "step_0000000003"]
    assert checkpoints.restore(gan) == Progress(seconds=30.0, history=[{"step": 3}])
    for name, value in values(gan).items():
        np.testing.assert_array_equal(value, kept[3][name], err_msg=name)


def test_everything_that_training_changes_is_kept(gan):
    names = list(values(gan))
    for part in ("step", "generator/", "averaged/", "discriminator/", "generator_optimizer/", "seed_generator_state"):
        assert any(part in name for name in names), part
    assert any("momentum" in name and name.startswith("discriminator_optimizer/") for name in names)


@pytest.mark.parametrize("damage", ["truncate", "flip", "state", "remove"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(gan, saved, damage, caplog):
    checkpoints, folder, kept = saved
    weights = folder / "step_0000000003" / "weights.npz"
    match damage:
        case "truncate":
            weights.write_bytes(weights.read_bytes()[:-1000])
        case "flip":
            content = bytearray(weights.read_bytes())
            content[len(content) // 2] ^= 1
            weights.write_bytes(content)
        case "state":
            (folder / "step_0000000003" / "state.json").write_text("{")
        case "remove":
            weights.unlink()
    assert checkpoints.restore(gan).seconds == 20.0
    assert "step_0000000003 is damaged" in caplog.text
    np.testing.assert_array_equal(gan.generator.weights[0].numpy(), kept[2]["generator/000/kernel"])


def test_a_checkpoint_of_another_config_is_refused_with_the_difference(gan, saved):
    other = config("train.optimizer.generator_learning_rate=0.5", "seed=3")
    with pytest.raises(CheckpointMismatchError) as refused:
        Checkpoints(str(saved[1]), other, "photos").restore(gan)
    assert "seed was 0, is 3" in str(refused.value)
    assert "train.optimizer.generator_learning_rate was 0.001, is 0.5" in str(refused.value)


def test_a_checkpoint_from_before_a_field_was_there_is_taken(gan, saved):
    checkpoints, folder, _ = saved
    state = json.loads((folder / "step_0000000003" / "state.json").read_text())
    del state["config"]["train"]["kept_views"], state["config"]["train"]["optimizer"]["weight_decay"]
    (folder / "step_0000000003" / "state.json").write_text(json.dumps(state))
    assert checkpoints.restore(gan).seconds == 30.0
    with pytest.raises(CheckpointMismatchError, match=r"train\.optimizer\.weight_decay was 0\.0, is 0\.1"):
        Checkpoints(str(folder), config("train.optimizer.weight_decay=0.1"), "photos").restore(gan)


def test_other_photographs_are_refused(gan, saved):
    with pytest.raises(CheckpointMismatchError, match="the photographs are others"):
        Checkpoints(str(saved[1]), config(), "other photos").restore(gan)


def test_a_run_may_be_made_longer(gan, saved):
    longer = config("train.steps=1000", "train.max_minutes=5", "train.log_every=7")
    assert Checkpoints(str(saved[1]), longer, "photos").restore(gan) is not None


def test_a_run_whose_rates_follow_its_end_keeps_its_end(gan, tmp_path):
    cosine = config("train.schedule.decay=cosine")
    Checkpoints(str(tmp_path), cosine, "photos").save(gan, Progress(seconds=1.0, history=[]))
    assert Checkpoints(str(tmp_path), cosine, "photos").restore(gan) is not None
    longer = config("train.schedule.decay=cosine", "train.steps=1000")
    with pytest.raises(CheckpointMismatchError, match=r"train\.steps was \d+, is 1000"):
        Checkpoints(str(tmp_path), longer, "photos").restore(gan)


def test_a_full_disk_is_said_and_leaves_the_checkpoints_before(gan, saved, monkeypatch):
    checkpoints, folder, _ = saved

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "savez", full)
    with pytest.raises(TintypeError, match="step_0000000099 cannot be written: No space left on device"):
        checkpoints.save(gan, Progress(0.0, []))
    assert sorted(path.name for path in folder.iterdir()) == ["step_0000000002", "step_0000000003"]
    assert checkpoints.restore(gan).seconds == 30.0


def test_another_process_s_networks_take_a_checkpoint(gan, saved):
    fresh = ColorGan(config())  # Keras numbers the names of its second networks differently
    assert saved[0].restore(fresh) is not None
    for name, value in values(fresh).items():
        np.testing.assert_array_equal(value, saved[2][3][name], err_msg=name)


def test_a_checkpoint_is_taken_that_knows_the_layers_by_other_names(gan, saved):
    """As before networks had blocks: `generator_down_1_kernel_momentum`."""
    checkpoints, folder, kept = saved
    newest = folder / "step_0000000003"
    with np.load(newest / "weights.npz") as weights:
        renamed = {name.replace("_convolution_kernel_", "_kernel_"): weights[name] for name in weights.files}
    assert renamed.keys() != kept[3].keys()
    np.savez(newest / "weights.npz", **renamed)
    state = json.loads((newest / "state.json").read_text())
    state["weights_sha256"] = hashlib.sha256((newest / "weights.npz").read_bytes()).hexdigest()
    (newest / "state.json").write_text(json.dumps(state))
    assert checkpoints.restore(gan).seconds == 30.0
    for name, value in values(gan).items():
        np.testing.assert_array_equal(value, kept[3][name], err_msg=name)


def test_what_was_half_written_is_no_checkpoint(gan, saved):
    checkpoints, folder, _ = saved
    (folder / "step_0000000009.part").mkdir()
    assert checkpoints.restore(gan).seconds == 30.0


def run(examples, out, *settings):
    """Train below `out`; returns the summary and the exported model's fingerprint."""
    summary = train(
        config(*settings),
        example_files(examples, "train"),
        example_files(examples, "eval"),
        model_folder=str(out / "model"),
        run_folder=str(out / "run"),
        checkpoint_folder=str(out / "checkpoints"),
    )
    loaded = tf.saved_model.load(str(out / "model"))
    return summary, loaded.signatures["describe"](name=tf.constant([""]))["fingerprint"].numpy()[0]


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_and_the_run_goes_on_to_the_same_weights(examples, tmp_path, monkeypatch):
    whole, expected = run(examples, tmp_path / "whole")
    again, same = run(examples, tmp_path / "whole")  # killed after its last step: nothing is trained twice
    assert (again.resumed_at, same) == (STEPS, expected)

    steps = ColorGan.train_steps
    seen = []

    def terminated(self, batches, count, **kwargs):
        seen.append(int(self.step))
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return steps(self, batches, count, **kwargs)

    monkeypatch.setattr(ColorGan, "train_steps", terminated)
    out = tmp_path / "stopped"
    with pytest.raises(TrainingStoppedError, match=r"SIGTERM ended training at step \d+; the same command goes on"):
        run(examples, out)
    (left,) = (out / "checkpoints").iterdir()
    step = int(left.name.removeprefix("step_"))
    assert 0 < step < STEPS
    summary, fingerprint = run(examples, out)
    assert summary.resumed_at == step
    assert fingerprint == expected
    assert [row["step"] for row in summary.history] == [row["step"] for row in whole.history]
    assert json.loads((out / "run" / "training.json").read_text())["resumed_at"] == step


@pytest.mark.slow
def test_killed_at_random_moments_a_run_ends_with_the_same_weights(examples, tmp_path):
    _, expected = run(examples, tmp_path / "whole", *LONG)
    script = """
import sys
from pathlib import Path
from tests.components.trainer.test_checkpoints import LONG, run
summary, fingerprint = run(Path(sys.argv[1]), Path(sys.argv[2]), *LONG)
print(summary.resumed_at, fingerprint.decode())
"""
    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, examples, str(out)]
    moments = random.Random(0)

    def newest() -> int:
        found = [int(path.name.removeprefix("step_")) for path in (out / "checkpoints").glob("step_*[0-9]")]
        return max(found, default=0)

    reached = []
    for _ in range(3):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        before, deadline = newest(), time.monotonic() + 240
        while newest() <= before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        reached.append(newest())
    assert reached == sorted(set(reached)), "every start went on from where the last one was killed"
    finished = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    resumed_at, fingerprint = finished.stdout.split()
    assert fingerprint.encode() == expected
    assert int(resumed_at) == reached[-1]
