"""Several replicas and several workers, in processes of their own: devices are set before TensorFlow starts."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.free_port import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

PREAMBLE = """
import sys, numpy as np, tensorflow as tf
from pathlib import Path
examples, out, *settings = sys.argv[1:]
"""

TRAIN = """
import os
from components.trainer.decoded_photos import example_files
from components.trainer.gan import ColorGan
from components.trainer.training import train
from pipeline.config import load_config
from photo.errors import TintypeError

small = ["data.size=32", "train.batch_size=4", "train.log_every=5", "train.picture_every=10", "train.steps=20"]
# No batch normalisation, whose statistics are each replica's own, and no dropout, whose draws are.
plain = [
    "network.generator={kind: valid_unet, down_blocks: [[{filters: 8, kernel_size: 3}]], "
    "bottleneck: {filters: 8, kernel_size: 3}, up_blocks: [[]], color_kernel_size: 3}",
    "network.discriminator={kind: classifier, batch_norm: false, "
    "convolutions: [{filters: 8, kernel_size: 4, stride: 4}]}",
    "train.optimizer.generator_learning_rate=2.0e-4",
    "train.precision=float32",
]
config = load_config("demo", [*small, *plain, *settings]).trainer_config()
made = []
original = ColorGan.__init__
def remembered(self, *arguments):
    original(self, *arguments)
    made.append(self)
    self.before = [weight.numpy() for weight in self.generator.weights]
ColorGan.__init__ = remembered
try:
    summary = train(
        config, example_files(examples, "train"), example_files(examples, "eval"),
        model_folder=f"{out}/model", run_folder=f"{out}/run", checkpoint_folder=f"{out}/checkpoints",
    )
except TintypeError as error:
    print("ERROR:", error, flush=True)
    os._exit(1)
print("SUMMARY:", summary.strategy, summary.steps, summary.resumed_at, flush=True)
Path(out).mkdir(parents=True, exist_ok=True)
(gan,) = made
np.savez(f"{out}/trained_{os.environ.get('WORKER', '0')}.npz",
         *[weight.numpy() for weight in gan.generator.weights])
np.savez(f"{out}/before.npz", *gan.before)
"""

TWO_DEVICES = """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""


def start(examples, out, *settings, before="", **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + before + TRAIN, examples, str(out), *settings],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **environment},
        cwd=out.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output[-3000:]
    return output


def weights(path):
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def share_of_change(out, one, other) -> float:
    """The mean difference between two trainings, as a share of what training changed."""
    before, one, other = weights(out / "before.npz"), weights(one), weights(other)
    changed = sum(np.abs(a - b).sum() for a, b in zip(before, one, strict=True))
    return sum(np.abs(a - b).sum() for a, b in zip(one, other, strict=True)) / changed


@pytest.fixture(scope="module")
def one_device(examples, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "out"
    assert "OneDeviceStrategy" in finish(start(examples, out))
    return out


def test_two_devices_train_the_weights_of_one(examples, one_device, tmp_path):
    out = tmp_path / "out"
    output = finish(start(examples, out, "train.strategy=mirrored", before=TWO_DEVICES))
    assert "mirrored over 2 CPUs" in output
    assert share_of_change(one_device, one_device / "trained_0.npz", out / "trained_0.npz") < 1e-3


def two_workers(examples, out, *settings):
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
    return [
        start(
            examples,
            out,
            *settings,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
            WORKER=str(index),
        )
        for index in range(2)
    ]


def test_two_workers_train_the_weights_of_one_and_the_chief_alone_writes(examples, one_device, tmp_path):
    out = tmp_path / "out"
    outputs = [finish(worker) for worker in two_workers(examples, out)]
    assert all("TF_CONFIG names 2 workers" in output for output in outputs)
    for worker in range(2):
        assert share_of_change(one_device, one_device / "trained_0.npz", out / f"trained_{worker}.npz") < 1e-3
    assert (out / "model" / "saved_model.pb").is_file()
    assert len(list((out / "run").glob("events.out.tfevents.*"))) == 1


def test_a_worker_that_dies_ends_the_job_with_a_message_and_a_restart_goes_on(examples, tmp_path):
    out = tmp_path / "out"
    settings = ("train.steps=400", "train.checkpoint_every=5")
    chief, other = two_workers(examples, out, *settings)
    deadline = time.monotonic() + 200
    while not list((out / "checkpoints").glob("step_*[0-9]")) and time.monotonic() < deadline:
        time.sleep(0.05)
    other.kill()
    output, _ = chief.communicate(timeout=300)
    other.communicate()
    assert chief.returncode == 1, output[-3000:]
    assert "ERROR: another worker is gone" in output, output[-3000:]
    outputs = [finish(worker) for worker in two_workers(examples, out, "train.steps=60", "train.checkpoint_every=5")]
    resumed = [line.split()[-1] for output in outputs for line in output.splitlines() if line.startswith("SUMMARY:")]
    assert len(set(resumed)) == 1
    assert int(resumed[0]) >= 5
