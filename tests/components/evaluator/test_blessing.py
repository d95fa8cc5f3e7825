import pytest

from components.evaluator.blessing import reasons_against
from components.evaluator.config import EvaluateConfig


def metrics(**changes):
    return {
        "psnr_db": 25.0,
        "ab_mae": 8.0,
        "n_images": 10,
        "n_not_finite": 0,
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
