import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from photo.errors import TintypeError
from tests.components.example_artifacts import png, tinted_photo
from tests.tiny_models import write_tiny_model
from tintype.commands.evaluate import Grouping, evaluate
from tintype.demo.scenes import write_collection


def test_a_model_is_measured_on_folders_and_archives_alike(tmp_path, capsys):
    model = write_tiny_model(tmp_path / "model")
    photographs = tmp_path / "photographs"
    write_collection(photographs, 4, side=48)
    (photographs / "broken.jpg").write_bytes(b"not a photograph")
    with zipfile.ZipFile(tmp_path / "photographs.zip", "w") as archive:
        for path in sorted(photographs.rglob("*.jpg")):
            archive.write(path, path.relative_to(photographs))
    with tarfile.open(tmp_path / "photographs.tar.gz", "w:gz") as archive:
        archive.add(photographs, arcname=".")

    measured = []
    for data in (photographs, tmp_path / "photographs.zip", tmp_path / "photographs.tar.gz"):
        evaluate(str(model), [str(data)], tmp_path / "metrics.json")
        assert "left gray" in capsys.readouterr().out
        measured.append(json.loads((tmp_path / "metrics.json").read_text()))
    assert measured[0]["n_images"] == 4
    assert set(measured[0]["labels"]) == {"sea", "meadow", "forest", "village"}
    for other in measured[1:]:
        assert other["psnr_db"] == pytest.approx(measured[0]["psnr_db"])


def test_spoiled_gray_and_portraits_by_skin_are_asked_for_by_options(tmp_path, capsys):
    model = write_tiny_model(tmp_path / "model")
    write_collection(tmp_path / "photographs", 2, side=48)
    for seed in range(3):
        (tmp_path / "photographs" / f"{seed}.png").write_bytes(png(tinted_photo(seed, ab=(20.0, 40.0))))
    evaluate(str(model), [str(tmp_path / "photographs")], tmp_path / "metrics.json", spoil=1, by=Grouping.SKIN)
    shown = capsys.readouterr().out
    assert "dB of the gain lost" in shown
    assert "darkest third, L*" in shown
    assert {"skin", "spoiled", "spoil_seed"} <= set(json.loads((tmp_path / "metrics.json").read_text()))


@pytest.mark.slow
def test_what_is_no_model_is_named(tmp_path, run_here):
    write_collection(tmp_path / "photographs", 1, side=48)
    (tmp_path / "nothing").mkdir()
    answer = run_here("evaluate", "--model", tmp_path / "nothing", "--data", tmp_path / "photographs")
    assert answer.returncode == 1
    assert "nothing" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("model", "data", "out", "words"),
    [
        ("nowhere", ".", None, "the model nowhere is not there"),
        (".", "nowhere", None, "the folder or archive nowhere is not there"),
        (".", ".", "file/metrics.json", "nothing can be written into file: file is no folder"),
    ],
)
def test_what_is_not_there_is_said_before_tensorflow_is_loaded(tmp_path, monkeypatch, model, data, out, words):
    def import_nothing():
        raise AssertionError("TensorFlow would have been imported")

    monkeypatch.setattr("tintype.commands.evaluate.import_tensorflow_quietly", import_nothing)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TintypeError, match=words):
        evaluate(model, [data], out and Path(out))
