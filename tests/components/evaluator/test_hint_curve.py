import itertools

import numpy as np
import pytest

from components.evaluator.hint_curve import HINT_COUNTS, measure_hints, random_hints
from serving.model.saved_colorizer import SavedColorizer
from tests.tiny_models import write_tiny_model

GREEN = np.full((32, 32, 3), (60, 130, 60), np.uint8)


def test_the_more_hints_the_nearer_are_the_colours_where_they_spread(tmp_path):
    model = SavedColorizer(str(write_tiny_model(tmp_path, ab=(30, -40), guided=True)))
    curve = measure_hints(model, [GREEN])
    assert [point["hints"] for point in curve] == list(HINT_COUNTS)
    values = [point["psnr_db"] for point in curve]
    assert values == sorted(values)
    assert values[-1] > values[0] + 10


def test_a_model_without_hints_has_no_curve(tmp_path):
    assert measure_hints(SavedColorizer(str(write_tiny_model(tmp_path))), [GREEN]) is None


def test_hints_are_patches_in_the_mean_of_the_true_colours():
    rng = np.random.default_rng(3)
    ab = np.indices((40, 40)).transpose(1, 2, 0).astype(np.float32)
    none, one, *_ = random_hints(ab, rng)
    assert not none.any()
    rows, columns = np.nonzero(one[..., 2])
    assert len(rows) == len(set(rows)) * len(set(columns))
    assert one[rows[0], columns[0], :2] == pytest.approx([rows.mean(), columns.mean()])


def test_fewer_hints_are_the_first_of_more():
    maps = random_hints(np.ones((40, 40, 2), np.float32), np.random.default_rng(0))
    for fewer, more in itertools.pairwise(maps):
        assert (fewer[..., 2] <= more[..., 2]).all()
        assert more[..., 2].sum() > fewer[..., 2].sum()
