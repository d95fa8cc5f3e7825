import pytest

from components.evaluator.blessing import reasons_against
from components.evaluator.config import EvaluateConfig
from pipeline.config import load_config


def metrics(**changes):
    return {
        "psnr_db": 25.0,
        "ab_mae": 8.0,
        "n_images": 10,
        "n_not_finite": 0,
        "left_gray": 0.1,
        "colorfulness": 20.0,
        "colorfulness_truth": 40.0,
        "labels": {},
        "grayscale": {"psnr_db": 23.0, "ab_mae": 10.0},
        "baseline": None,
    } | changes


def test_a_good_candidate_gets_no_reason():
    assert reasons_against(metrics(), EvaluateConfig()) == []
    assert reasons_against(metrics(baseline={"psnr_db": 25.1}), EvaluateConfig()) == []


@pytest.mark.parametrize(
    ("changes", "config", "words"),
    [
        ({"psnr_db": 22.5}, {}, "-0.50 dB against the gray"),
        ({}, {"min_psnr_gain_db": 2.5}, "min_psnr_gain_db is 2.5"),
        ({"ab_mae": 10.0}, {}, "ab error 10.00 is not below 1 x"),
        ({}, {"max_ab_mae_ratio": 0.7}, "not below 0.7 x"),
        ({"baseline": {"psnr_db": 25.3}}, {}, "0.30 dB below the served model's 25.30; max_psnr_drop_db is 0.2"),
        ({"n_not_finite": 3}, {}, "not finite on 3 of 10"),
        ({"psnr_db": float("nan")}, {}, "nan dB"),
        ({"baseline": {"psnr_db": float("nan")}}, {}, "nan dB below the served model's nan"),
        ({"left_gray": 0.16}, {"max_left_gray": 0.03}, "16.0% of 10 photographs are left gray; max_left_gray is 0.03"),
        ({}, {"min_colorfulness_ratio": 0.75}, "colorfulness 20.0 is under 0.75 x the truth's 40.0"),
        ({"colorfulness": 50.0}, {"max_colorfulness_ratio": 1.1}, "colorfulness 50.0 is over 1.1 x the truth's 40.0"),
        ({"colorfulness": float("nan")}, {"min_colorfulness_ratio": 0.1}, "colorfulness nan"),
    ],
)
def test_each_threshold_gives_its_reason(changes, config, words):
    (reason,) = reasons_against(metrics(**changes), EvaluateConfig(**config))
    assert words in reason


def test_gray_itself_is_never_blessed_by_the_defaults():
    gray = {"psnr_db": 23.0, "ab_mae": 10.0}
    assert reasons_against(metrics(**gray, grayscale=gray), EvaluateConfig())


def test_a_served_model_without_metrics_does_not_count():
    assert reasons_against(metrics(baseline={"path": "/old/3", "error": "does not load"}), EvaluateConfig()) == []


def test_a_folder_that_is_left_gray_is_not_hidden_by_the_mean():
    people = metrics(n_images=20, left_gray=0.3, psnr_db=22.5)
    labels = {"people": people, "sea": metrics(n_images=80), "": metrics(n_images=9, left_gray=1.0)}
    assert reasons_against(metrics(labels=labels), EvaluateConfig()) == []
    assert reasons_against(metrics(labels=labels), EvaluateConfig(max_left_gray=0.15)) == []
    each_label = {"max_left_gray": 0.15, "min_psnr_gain_db": 0.0}
    gray, loss = sorted(reasons_against(metrics(labels=labels), EvaluateConfig(each_label=each_label)))
    assert gray == "people: 30.0% of 20 photographs are left gray; max_left_gray is 0.15"
    assert loss.startswith("people: PSNR 22.50 dB is -0.50 dB")
    few = EvaluateConfig(each_label=each_label | {"min_photographs": 5})
    assert any(
        reason.startswith("without a folder: 100.0% of 9") for reason in reasons_against(metrics(labels=labels), few)
    )


def test_what_a_folder_lost_against_the_served_version_is_not_hidden_by_the_mean():
    labels = {
        "people": metrics(n_images=20, psnr_db=24.0, baseline={"psnr_db": 25.5}),
        "sea": metrics(n_images=80, psnr_db=25.3, baseline={"psnr_db": 25.0}),
        "": metrics(n_images=9, psnr_db=24.0, baseline={"psnr_db": 29.0}),
    }
    candidate = metrics(baseline={"psnr_db": 25.1}, labels=labels)
    assert reasons_against(candidate, EvaluateConfig()) == []
    assert reasons_against(candidate, EvaluateConfig(max_label_drop_db=1.5)) == []
    (reason,) = reasons_against(candidate, EvaluateConfig(max_label_drop_db=1.0))
    lost = "PSNR 24.00 dB is 1.50 dB below the served model's 25.50; max_label_drop_db is 1"
    assert reason == f"people: {lost}"
    few = EvaluateConfig(max_label_drop_db=1.0, each_label={"min_photographs": 9})
    assert [reason.split(":")[0] for reason in reasons_against(candidate, few)] == ["people", "without a folder"]
    first = metrics(labels={"people": metrics(n_images=20)})
    assert reasons_against(first, EvaluateConfig(max_label_drop_db=0)) == []


def test_the_pretrained_recipe_stops_a_generator_that_is_good_on_landscapes_and_leaves_people_gray():
    thresholds = load_config("tintype_pretrained").evaluate
    scenes = metrics(n_images=500, psnr_db=25.6, ab_mae=7.5, left_gray=0.01, colorfulness=28.0)
    assert reasons_against(metrics() | scenes | {"labels": {"scenes": scenes}}, thresholds) == []
    portraits = metrics(n_images=62, psnr_db=22.9, ab_mae=10.2, left_gray=0.29, colorfulness=19.0)
    labels = {"portraits": portraits, "scenes": scenes}
    mean = metrics(n_images=562, psnr_db=25.3, ab_mae=7.8, left_gray=0.04, colorfulness=27.0, labels=labels)
    reasons = reasons_against(mean, thresholds)
    assert reasons
    assert all(reason.startswith("portraits: ") for reason in reasons)
