import numpy as np
import pytest

from components.evaluator.evaluation import evaluate_saved_model
from components.evaluator.frechet import frechet_distance, has_imagenet_weights
from tests.components.example_artifacts import png, tinted_photo
from tests.tiny_models import write_tiny_model


def test_the_distance_is_that_of_the_two_normal_distributions():
    random = np.random.default_rng(0)
    one = random.normal(size=(4000, 3)) * [1, 2, 3]
    other = random.normal(size=(3000, 3)) * [2, 2, 1] + [0, 3, 0]
    # Of independent axes it is the sum over them of (m1 - m2)^2 + (s1 - s2)^2.
    assert frechet_distance(one, other) == pytest.approx(1 + 9 + 4, rel=0.05)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_fewer_photographs_than_features_have_a_distance():
    few = np.random.default_rng(1).normal(size=(5, 50)).astype(np.float32)
    assert frechet_distance(few, few[::-1]) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(few, few[:2] + 1) > 10


@pytest.mark.slow
@pytest.mark.skipif(not has_imagenet_weights(), reason="the extra `pretrained` is not installed")
def test_true_colors_are_nearer_to_the_truth_than_gray_and_than_wrong_ones(tmp_path):
    photos = [("", png(tinted_photo(seed))) for seed in range(6)]
    key = "frechet_distance_efficientnet_lite0"
    measured = {}
    for name, ab in (("right", (20.0, -30.0)), ("wrong", (60.0, 60.0))):
        model = write_tiny_model(tmp_path / name, ab=ab, size=64)
        measured[name] = evaluate_saved_model(str(model), photos, frechet=True)
    assert measured["right"]["frechet_sample_size"] == 6
    assert measured["right"][key] < measured["right"]["grayscale"][key] < measured["wrong"][key]
    assert evaluate_saved_model(str(tmp_path / "right"), photos[:2])[key] is None
