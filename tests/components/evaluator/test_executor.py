import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tfx.types import channel_utils, standard_artifacts

from components.evaluator.component import Evaluator
from components.evaluator.config import EvaluateConfig
from components.evaluator.executor import Executor
from components.evaluator.frechet import FRECHET_DISTANCE, FRECHET_SAMPLE_SIZE
from components.evaluator.metrics import METRICS
from photo.errors import TintypeError
from tests.components.example_artifacts import png, tinted_photo, write_examples
from tests.tiny_models import write_tiny_model


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    photos = [("sea" if seed % 3 else "forest", png(tinted_photo(seed))) for seed in range(7)]
    folder = tmp_path_factory.mktemp("examples") / "a[1]*?b"  # which is no pattern
    return write_examples(folder, [*photos, ("sea", b"broken")])


def evaluate(tmp_path: Path, examples, *, ab=(20.0, -30.0), served: Path | None = None, **config):
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    model.id = 17
    write_tiny_model(tmp_path / "model" / "Format-Serving", ab=ab)
    evaluation = standard_artifacts.ModelEvaluation()
    evaluation.uri = str(tmp_path / "evaluation")
    blessing = standard_artifacts.ModelBlessing()
    blessing.uri = str(tmp_path / "blessing")
    Executor().Do(
        {"examples": [examples], "model": [model]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "config": EvaluateConfig(batch_size=3, grid_rows=4, **config).model_dump_json(),
            "served_base_path": str(served or ""),
        },
    )
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    files = [path.name for path in (tmp_path / "blessing").iterdir()]
    assert files == ["BLESSED" if metrics["blessed"] else "NOT_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == int(metrics["blessed"])
    assert blessing.get_string_custom_property("current_model") == model.uri
    assert blessing.get_int_custom_property("current_model_id") == 17
    return metrics, blessing


def test_a_good_model_is_measured_drawn_and_blessed(tmp_path, examples):
    metrics, _ = evaluate(tmp_path, examples, served=tmp_path / "nothing-served-yet")
    assert metrics["blessed"] is True
    assert metrics["reasons"] == []
    assert set(METRICS) <= set(metrics)
    assert set(METRICS) <= set(metrics["grayscale"])
    assert metrics["n_images"] == 7
    assert metrics["split"] == "eval"
    assert metrics["psnr_db"] > metrics["grayscale"]["psnr_db"] + 10
    assert {label: group["n_images"] for label, group in metrics["labels"].items()} == {"forest": 3, "sea": 4}
    assert metrics["baseline"] is None
    assert metrics["model"]["size"] == 32

    grid = Image.open(tmp_path / "evaluation" / "grid.png")
    assert grid.size == (3 * 68 + 4, 20 + 4 * 68)
    gray, coloured, true = (np.asarray(grid)[24:80, 4 + 68 * column :][:, :64].astype(int) for column in range(3))
    assert np.ptp(gray, axis=-1).max() <= 2
    assert np.abs(coloured - true).max() < 12 < np.abs(gray - true).max()


def test_the_beam_job_and_the_plain_function_agree_and_the_grid_is_the_same_in_every_run(tmp_path, examples):
    from components.evaluator.evaluation import evaluate_saved_model

    one, _ = evaluate(tmp_path / "1", examples, ab=(12.0, -20.0))
    two, _ = evaluate(tmp_path / "2", examples, ab=(12.0, -20.0))
    photos = [("sea" if seed % 3 else "forest", png(tinted_photo(seed))) for seed in range(7)]
    plain = evaluate_saved_model(str(tmp_path / "1" / "model" / "Format-Serving"), photos, frechet=True)
    for metrics in (one, two):
        assert {name: metrics[name] for name in METRICS} == pytest.approx({name: plain[name] for name in METRICS})
        for of in (lambda found: found, lambda found: found["grayscale"]):
            assert of(metrics)[FRECHET_DISTANCE] == pytest.approx(of(plain)[FRECHET_DISTANCE], rel=1e-3)
        assert metrics[FRECHET_SAMPLE_SIZE] == 7
        assert metrics["variants"] is metrics["hint_curve"] is None
    grids = [(tmp_path / run / "evaluation" / "grid.png").read_bytes() for run in ("1", "2")]
    assert grids[0] == grids[1]


def test_colours_worse_than_gray_are_not_blessed(tmp_path, examples, caplog):
    metrics, _ = evaluate(tmp_path, examples, ab=(-20.0, 30.0))
    assert metrics["blessed"] is False
    assert len(metrics["reasons"]) == 2
    assert "NOT blessed" in caplog.text
    assert metrics["reasons"][0] in caplog.text


def test_a_model_that_leaves_a_folder_gray_is_not_blessed_though_the_mean_is_good(tmp_path):
    pale = [("sea", png(tinted_photo(seed, ab=(5.0, -8.0)))) for seed in range(20)]
    people = [("people", png(tinted_photo(seed, ab=(30.0, -48.0)))) for seed in range(20, 23)]
    examples = write_examples(tmp_path / "examples", [*pale, *people])
    each_label = {"max_left_gray": 0.1, "min_photographs": 3}
    metrics, _ = evaluate(tmp_path / "mean", examples, ab=(5.0, -8.0), max_left_gray=0.2)
    assert metrics["blessed"] is True
    metrics, _ = evaluate(tmp_path / "each", examples, ab=(5.0, -8.0), max_left_gray=0.2, each_label=each_label)
    assert metrics["blessed"] is False
    assert metrics["reasons"] == ["people: 100.0% of 3 photographs are left gray; max_left_gray is 0.1"]


def test_a_model_that_is_not_finite_is_not_blessed_and_the_json_stays_valid(tmp_path, examples):
    metrics, _ = evaluate(tmp_path, examples, ab=(float("nan"), -30.0))
    assert metrics["n_not_finite"] == 7
    assert "not finite on 7 of 7" in metrics["reasons"][0]


def test_a_model_worse_than_the_served_one_is_not_blessed(tmp_path, examples):
    served = tmp_path / "served"
    write_tiny_model(served / "3", ab=(-40.0, 40.0))
    write_tiny_model(served / "12", ab=(20.0, -30.0), size=16, fingerprint="served")
    (served / "13").mkdir()
    metrics, blessing = evaluate(tmp_path, examples, ab=(12.0, -20.0), served=served)
    assert metrics["baseline"]["version"] == 12
    assert metrics["baseline"]["fingerprint"] == "served"
    assert metrics["baseline"]["psnr_db"] > metrics["psnr_db"] > metrics["grayscale"]["psnr_db"]
    assert metrics["blessed"] is False
    (reason,) = metrics["reasons"]
    assert "below the served model's" in reason
    assert blessing.get_string_custom_property("baseline_model") == str(served / "12")

    tolerated, _ = evaluate(tmp_path / "tolerant", examples, ab=(12.0, -20.0), served=served, max_psnr_drop_db=60)
    assert tolerated["blessed"] is True
    by_label = {"max_label_drop_db": 1, "each_label": {"min_photographs": 4}}
    stopped, _ = evaluate(
        tmp_path / "label", examples, ab=(12.0, -20.0), served=served, max_psnr_drop_db=60, **by_label
    )
    (reason,) = stopped["reasons"]  # of the sea alone: the forest has three photographs
    assert reason.startswith("sea: PSNR ")
    assert "max_label_drop_db is 1" in reason
    assert stopped["labels"]["sea"]["baseline"]["n_images"] == stopped["labels"]["sea"]["n_images"] == 4


def test_a_served_model_that_does_not_load_is_reported_and_holds_nothing_up(tmp_path, examples):
    (tmp_path / "served" / "4").mkdir(parents=True)
    (tmp_path / "served" / "4" / "saved_model.pb").write_bytes(b"garbage")
    metrics, _ = evaluate(tmp_path, examples, served=tmp_path / "served")
    assert metrics["blessed"] is True
    assert metrics["baseline"]["version"] == 4
    assert "does not load" in metrics["baseline"]["error"]


def test_a_split_without_photographs_stops_the_run(tmp_path):
    empty = write_examples(tmp_path / "examples", [])
    with pytest.raises(TintypeError, match="no photograph in the split 'eval'"):
        evaluate(tmp_path, empty)
    (tmp_path / "examples" / "Split-eval" / "data_tfrecord-00000-of-00002.gz").unlink()
    (tmp_path / "examples" / "Split-eval" / "data_tfrecord-00001-of-00002.gz").unlink()
    with pytest.raises(TintypeError, match="no examples of the split 'eval'"):
        evaluate(tmp_path, empty)


def test_the_component_carries_its_config():
    component = Evaluator(
        examples=channel_utils.as_channel([standard_artifacts.Examples()]),
        model=channel_utils.as_channel([standard_artifacts.Model()]),
        config=EvaluateConfig(min_psnr_gain_db=1.5),
        served_base_path="/serving/colorizer",
    )
    assert EvaluateConfig.model_validate_json(component.exec_properties["config"]).min_psnr_gain_db == 1.5
    assert component.exec_properties["served_base_path"] == "/serving/colorizer"
    assert {key: channel.type_name for key, channel in component.outputs.items()} == {
        "evaluation": "ModelEvaluation",
        "blessing": "ModelBlessing",
    }
