from components.trainer.config import PlateauConfig
from components.trainer.plateau import count_plateaus

CONFIG = PlateauConfig(patience=2, factor=0.1, min_improvement=0.01)


def test_falling_losses_are_no_plateau():
    assert count_plateaus([10, 9, 8, 7, 6, 5], CONFIG) == 0


def test_each_run_of_losses_that_do_not_fall_counts_once():
    assert count_plateaus([10, 10, 10], CONFIG) == 1
    assert count_plateaus([10, 10, 10, 10, 10], CONFIG) == 2
    assert count_plateaus([10, 12, 9, 9, 9], CONFIG) == 1


def test_a_fall_below_one_percent_is_none():
    assert count_plateaus([10, 9.95, 9.91], CONFIG) == 1


def test_losses_below_zero_are_judged_by_their_size():
    assert count_plateaus([-1, -1.001, -1.002], CONFIG) == 1
    assert count_plateaus([-1, -1.1, -1.3], CONFIG) == 0
