import numpy as np
import pytest

from components.trainer.networks.batch_normalization import BatchNormalization
from components.trainer.networks.hint_spread import HintSpread

RED, BLUE, GRAY = (2.0, 1.0), (-0.5, -2.0), (0.0, 0.0)


@pytest.fixture(scope="module")
def spread():
    return HintSpread(BatchNormalization(momentum=0.9, name="norm"), 4, name="spread")


def two_things(spread, hints):
    """Halves that the network tells apart; hints by (row, column). What is added and the trust, [8, 8, c]."""
    features = np.zeros((1, 8, 8, 4), np.float32)
    features[:, :, :4], features[:, :, 4:] = (3, 0, 0, 3), (0, 3, 3, 0)
    asked = np.zeros((1, 8, 8, 3), np.float32)
    for place, (color, share) in hints.items():
        asked[0][place] = *color, share
    added, trust = spread(features, np.zeros((1, 8, 8, 2), np.float32), asked)
    return np.asarray(added)[0], np.asarray(trust)[0]


def test_a_hint_colours_what_looks_alike_and_nothing_else(spread):
    added, trust = two_things(spread, {(2, 1): (RED, 1.0)})
    assert added[2, 1] == pytest.approx(RED, rel=0.15)
    assert (added[:, :4] > 0.6 * np.array(RED)).all()
    assert np.abs(added[:, 4:]).max() < 0.05
    assert trust[2, 1, 0] > 0.85
    assert trust[:, 4:].max() < 0.05


def test_each_thing_takes_the_colour_of_its_own_hint(spread):
    added, _ = two_things(spread, {(2, 1): (RED, 1.0), (5, 6): (BLUE, 1 / 16)})
    assert added[6, 2] == pytest.approx(RED, rel=0.35)
    assert added[1, 6] == pytest.approx(BLUE, rel=0.35)


def test_a_hint_of_gray_where_gray_is_changes_nothing_but_says_so(spread):
    added, trust = two_things(spread, {(2, 1): (GRAY, 1.0)})
    assert np.abs(added).max() < 1e-6
    assert trust[2, 1, 0] > 0.85


def test_without_hints_nothing_is_added(spread):
    added, trust = two_things(spread, {})
    assert not added.any()
    assert not trust.any()


def test_of_very_many_hinted_cells_a_small_one_is_heard():
    wide = HintSpread(BatchNormalization(momentum=0.9, name="norm"), 2, name="spread")
    features = np.zeros((1, 64, 64, 2), np.float32)
    features[0, 50, 50] = 8, -8
    asked = np.zeros((1, 64, 64, 3), np.float32)
    asked[0, :40] = *BLUE, 1.0
    asked[0, 50, 50] = *RED, 1 / 16
    added, _ = wide(features, np.zeros((1, 64, 64, 2), np.float32), asked)
    assert np.asarray(added)[0, 50, 50] == pytest.approx(RED, rel=0.15)
