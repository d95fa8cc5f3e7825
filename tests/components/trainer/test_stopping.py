import keras
import numpy as np
import pytest

from components.trainer.stopping import GoodWeights, TimeLimit, TrainingDivergedError, not_finite


def test_a_run_without_a_time_limit_never_runs_out_of_time():
    assert not TimeLimit(None).is_over(1e9)
    assert not TimeLimit(2).is_over(120)
    assert TimeLimit(2).is_over(120.1)


def test_readings_that_are_not_finite_are_named():
    assert not_finite({"generator_loss": 1.0, "adversarial_loss": 0.0}) == ""
    assert not_finite({"generator_loss": float("nan"), "norm": float("inf"), "other": 1.0}) == (
        "generator_loss=nan, norm=inf"
    )


def test_the_good_weights_come_back_as_they_were_kept():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    good = GoodWeights(network)
    assert not good.kept
    with pytest.raises(TrainingDivergedError, match=r"first 3 step\(s\) \(loss=nan\)"):
        good.restore(step=3, wrong="loss=nan")
    good.keep()
    before = network.get_weights()
    network.set_weights([weight + 1 for weight in before])
    good.restore(step=4, wrong="loss=nan")
    for weight, kept in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
