import json

import pytest

from components.evaluator.saved_colorizer import SavedColorizer
from serving.client.errors import TintypeError
from tintype.commands.train import train
from tintype.demo.scenes import write_collection

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


@pytest.mark.slow
def test_a_model_is_trained_without_the_pipeline(tmp_path, capsys):
    write_collection(tmp_path / "photographs", 24, side=40)
    out = tmp_path / "out"
    train(str(tmp_path / "photographs"), "demo", out, SETTINGS)
    said = capsys.readouterr()
    assert "2 steps" in said.out
    assert f"tensorboard --logdir {out / 'run'}" in said.err
    assert f"tintype evaluate --model {out / 'model'}" in said.err
    assert {path.name for path in out.iterdir()} == {"examples", "run", "model"}
    assert SavedColorizer(str(out / "model")).description.size == 32
    assert json.loads((out / "run" / "training.json").read_text())["steps"] == 2
    assert list((out / "run").glob("events.out.tfevents.*"))


@pytest.mark.slow
def test_a_training_that_fails_leaves_the_former_model_and_the_photographs(tmp_path):
    write_collection(tmp_path / "photographs", 24, side=40)
    out = tmp_path / "out"
    train(str(tmp_path / "photographs"), "demo", out, SETTINGS)
    taken_in = (out / "examples").stat().st_mtime_ns
    with pytest.raises(TintypeError, match="diverged in its first"):
        train(str(tmp_path / "photographs"), "demo", out, [*SETTINGS, "train.loss.reconstruction_weight=1.0e+40"])
    assert (out / "model" / "saved_model.pb").is_file()
    assert (out / "examples").stat().st_mtime_ns == taken_in
    assert {path.name for path in out.iterdir()} == {"examples", "run", "model"}


def test_too_few_photographs_to_keep_some_aside_are_named(tmp_path):
    write_collection(tmp_path / "photographs", 1, side=40)
    with pytest.raises(TintypeError, match=r"too few photographs in .*none fell to the split"):
        train(str(tmp_path / "photographs"), "demo", tmp_path / "out", SETTINGS)
