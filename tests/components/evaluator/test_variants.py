import numpy as np
import pytest

from components.evaluator.variants import variants_ab_distance
from serving.model.saved_colorizer import SavedColorizer
from tests.tiny_models import write_tiny_model

GRAY = np.full((32, 32), 50, np.float32)


def test_the_distance_is_the_mean_over_pairs_of_colourings(tmp_path):
    model = SavedColorizer(str(write_tiny_model(tmp_path, ab=(30, 40), variants=True)))
    # The model turns ab by the seed in radians: four points on a circle, and the chords between them.
    radius = 50 * 0.5
    angles = np.array([1, 2, 3, 1, 2, 1])
    expected = np.mean(2 * radius * np.sin(angles / 2))
    assert variants_ab_distance(model, [GRAY, GRAY]) == pytest.approx(expected, rel=1e-4)


def test_a_model_of_one_colouring_has_no_distance(tmp_path):
    assert variants_ab_distance(SavedColorizer(str(write_tiny_model(tmp_path))), [GRAY]) is None


def test_without_photographs_there_is_no_distance(tmp_path):
    assert variants_ab_distance(SavedColorizer(str(write_tiny_model(tmp_path, variants=True))), []) is None
