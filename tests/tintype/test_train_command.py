import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.free_port import free_port
from photo.errors import TintypeError
from serving.model.saved_colorizer import SavedColorizer
from tintype.commands.train import train
from tintype.demo.scenes import write_collection

ROOT = Path(__file__).parents[2]

SETTINGS = [
    "data.size=32",
    "data.splits.train=2",
    "train.batch_size=4",
    "train.preview_photos=4",
    "train.steps=2",
    "train.picture_every=2",
    "network.generator.down_filters=[4,8]",
    "network.generator.up_filters=[4]",
]


class Trained(NamedTuple):
    photographs: Path
    out: Path
    stdout: str
    stderr: str


def contents(out: Path) -> set[str]:
    """What a run leaves, but for the lock that it held."""
    return {path.name for path in out.iterdir()} - {".lock"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    """What the command made and said; once for the tests that look at it."""
    folder = tmp_path_factory.mktemp("trained")
    write_collection(folder / "photographs", 24, side=40)
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        train([str(folder / "photographs")], "demo", folder / "out", SETTINGS)
    return Trained(folder / "photographs", folder / "out", stdout.getvalue(), stderr.getvalue())


@pytest.mark.slow
def test_a_model_is_trained_without_the_pipeline(trained):
    out = trained.out
    assert "2 steps" in trained.stdout
    assert f"tensorboard --logdir {out / 'run'}" in trained.stderr
    assert f"tintype evaluate --model {out / 'model'}" in trained.stderr
    assert contents(out) == {"examples", "run", "model"}
    assert SavedColorizer(str(out / "model")).description.size == 32
    assert json.loads((out / "run" / "training.json").read_text())["steps"] == 2
    assert list((out / "run").glob("events.out.tfevents.*"))


@pytest.mark.slow
def test_a_training_that_fails_leaves_the_former_model_and_the_photographs(trained):
    out = trained.out
    ingested = (out / "examples").stat().st_mtime_ns
    with pytest.raises(TintypeError, match="diverged in its first"):
        train([str(trained.photographs)], "demo", out, [*SETTINGS, "train.loss.reconstruction_weight=1.0e+40"])
    assert (out / "model" / "saved_model.pb").is_file()
    assert (out / "examples").stat().st_mtime_ns == ingested
    assert contents(out) == {"examples", "run", "model"}


@pytest.mark.slow
def test_two_workers_given_the_same_command_make_one_model(tmp_path):
    write_collection(tmp_path / "photographs", 24, side=40)
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
    # Decoded on the disk, where the two would meet.
    settings = [word for setting in [*SETTINGS, "train.cache_memory_share=1.0e-9"] for word in ("--set", setting)]
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tintype.cli",
                "train",
                "--config=demo",
                "--data=photographs",
                "--out=out",
                *settings,
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "CUDA_VISIBLE_DEVICES": "",
                "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
            },
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]
    try:
        chief, other = (worker.communicate(timeout=300)[0] for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], f"{chief[-3000:]}\n{other[-3000:]}"
    assert "waiting for the chief" in other
    assert "waiting for the chief" not in chief
    out = tmp_path / "out"
    assert contents(out) == {"examples", "run", "model"}
    assert SavedColorizer(str(out / "model")).description.size == 32
    assert "2 workers" in json.loads((out / "run" / "training.json").read_text())["strategy"]
    assert len(list((out / "run").glob("events.out.tfevents.*"))) == 1


def test_too_few_photographs_to_keep_some_aside_are_named(tmp_path):
    write_collection(tmp_path / "photographs", 1, side=40)
    with pytest.raises(TintypeError, match=r"too few photographs in .*none fell to the split"):
        train([str(tmp_path / "photographs")], "demo", tmp_path / "out", SETTINGS)
