import numpy as np
import pytest

from components.evaluator.variants import measure_variants
from serving.model.saved_colorizer import SavedColorizer
from tests.tiny_models import write_tiny_model

GRAY = np.full((32, 32, 3), 119, np.uint8)  # L* 50


def test_the_distance_is_the_mean_over_pairs_of_colourings(tmp_path):
    model = SavedColorizer(str(write_tiny_model(tmp_path, ab=(30, 40), variants=True)))
    # The model turns ab by the seed in radians: four points on a circle, and the chords between them.
    radius = 50 * 0.5
    angles = np.array([1, 2, 3, 1, 2, 1])
    expected = np.mean(2 * radius * np.sin(angles / 2))
    found = measure_variants(model, [GRAY, GRAY])
    assert found["n_images"] == 2
    assert found["ab_distance"] == pytest.approx(expected, rel=1e-3)


def test_the_best_and_the_worst_colouring_are_found_by_the_truth(tmp_path):
    model = SavedColorizer(str(write_tiny_model(tmp_path, ab=(30, 0), variants=True)))
    reddish = np.full((32, 32, 3), (146, 109, 119), np.uint8)  # near a* = 15, b* = 0, which is served
    found = measure_variants(model, [reddish])
    assert found["best_psnr_db"] == pytest.approx(found["psnr_db"])  # the seed 0 turns it by nothing
    assert found["psnr_db"] > 35
    assert found["worst_delta_e_2000"] > 1.5 * found["grayscale_delta_e_2000"]  # the seed 3 gives about the opposite


def test_a_model_of_one_colouring_has_no_figures(tmp_path):
    assert measure_variants(SavedColorizer(str(write_tiny_model(tmp_path))), [GRAY]) is None


def test_without_photographs_there_are_none(tmp_path):
    assert measure_variants(SavedColorizer(str(write_tiny_model(tmp_path, variants=True))), []) is None
