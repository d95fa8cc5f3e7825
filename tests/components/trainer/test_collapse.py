from components.trainer.collapse import PATIENCE, CollapseWatch


def reading(diversity=0.5, loss=0.1):
    return {"color_diversity": diversity, "reconstruction_loss": loss}


def verdicts(watch, readings):
    return [watch.update(reading) for reading in readings]


def test_a_healthy_run_is_left_alone():
    healthy = [reading(0.0, 0.2), reading(0.1, 0.12), reading(0.6, 0.1), reading(0.3, 0.15), reading(0.8, 0.09)]
    assert not any(verdicts(CollapseWatch(), healthy * 3))


def test_colours_that_became_alike_for_long_are_a_collapse():
    watch = CollapseWatch()
    said = verdicts(watch, [reading(0.5)] + [reading(0.04)] * PATIENCE)
    assert said[:-1] == [None] * PATIENCE
    assert "differ by 0.04 of how much the true ones do, after 0.5: the generator collapsed" in said[-1]
    assert watch.suspicious


def test_a_loss_that_grew_out_of_hand_for_long_is_a_divergence():
    said = verdicts(CollapseWatch(), [reading(loss=0.1)] + [reading(loss=0.31)] * PATIENCE)
    assert said[:-1] == [None] * PATIENCE
    assert "diverged" in said[-1]


def test_a_run_that_recovers_in_time_is_healthy_again():
    watch = CollapseWatch()
    swing = [reading(0.5)] + [reading(0.01)] * (PATIENCE - 1) + [reading(0.5)]
    assert not any(verdicts(watch, swing * 2))
    assert not watch.suspicious


def test_batches_of_one_photograph_have_no_diversity_and_are_no_collapse():
    assert not any(verdicts(CollapseWatch(), [reading(0.0)] * 20))


def test_a_run_that_goes_on_remembers_what_it_was():
    said = verdicts(CollapseWatch([reading(0.5), reading(0.4)]), [reading(0.01)] * PATIENCE)
    assert said[-1] is not None
