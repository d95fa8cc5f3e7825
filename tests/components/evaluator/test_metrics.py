import math

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from components.evaluator.metrics import METRICS, PSNR_CAP_DB, MetricSums, accuracy, photo_metrics
from photo.color import join_lightness_and_color, rgb_to_lab


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(astronaut()[::5, ::5])


def test_the_true_colours_score_perfectly(photo):
    metrics = photo_metrics(photo, rgb_to_lab(photo)[..., 1:])
    assert metrics["psnr_db"] > 55
    assert metrics["ssim"] > 0.999
    assert metrics["delta_e_2000"] < 0.1
    assert metrics["ab_mae"] < 1e-6
    assert metrics["accuracy_eps2"] == metrics["accuracy_eps5"] == 1
    assert metrics["colorfulness"] == pytest.approx(metrics["colorfulness_truth"], abs=0.1)
    assert metrics["not_finite"] == 0


def test_the_metrics_are_those_of_scikit_image(photo):
    ab = rgb_to_lab(photo)[..., 1:] * 0.6 + np.array([5, -8], np.float32)
    metrics = photo_metrics(photo, ab)
    predicted = join_lightness_and_color(rgb_to_lab(photo)[..., 0], ab)
    assert metrics["psnr_db"] == pytest.approx(peak_signal_noise_ratio(photo, predicted), abs=1e-9)
    assert metrics["ssim"] == pytest.approx(structural_similarity(photo, predicted, channel_axis=-1), abs=1e-9)
    reference = deltaE_ciede2000(rgb2lab(photo), rgb2lab(predicted)).mean()
    assert metrics["delta_e_2000"] == pytest.approx(reference, abs=0.02)
    assert metrics["ab_mae"] == pytest.approx(np.abs(ab - rgb2lab(photo)[..., 1:]).mean(), abs=0.02)


def test_gray_has_the_truth_s_chroma_as_its_error(photo):
    metrics = photo_metrics(photo, np.zeros((*photo.shape[:2], 2), np.float32))
    assert metrics["ab_mae"] == pytest.approx(np.abs(rgb_to_lab(photo)[..., 1:]).mean())
    assert metrics["colorfulness"] < 1 < 20 < metrics["colorfulness_truth"]
    assert metrics["psnr_db"] < 30
    assert metrics["accuracy_eps2"] < metrics["accuracy_eps5"] < 1


def test_equal_photos_reach_the_cap_instead_of_infinity():
    gray = np.full((16, 16, 3), 128, np.uint8)
    metrics = photo_metrics(gray, np.zeros((16, 16, 2), np.float32))
    assert metrics["psnr_db"] == PSNR_CAP_DB
    assert metrics["ssim"] == 1


def test_accuracy_counts_pixels_right_on_every_channel():
    # A quarter of the photo is a saturated red; left gray, only the other three quarters are right.
    photo = np.full((16, 16, 3), 128, np.uint8)
    photo[:8, :8] = (200, 30, 30)
    metrics = photo_metrics(photo, np.zeros((16, 16, 2), np.float32))
    assert metrics["accuracy_eps2"] == metrics["accuracy_eps5"] == 0.75


@pytest.mark.parametrize(("step", "eps2", "eps5"), [(5, 1.0, 1.0), (6, 0.0, 1.0), (12, 0.0, 1.0), (13, 0.0, 0.0)])
def test_accuracy_is_strictly_less_than_two_and_five_percent_of_255(step, eps2, eps5):
    difference = np.zeros((4, 4, 3), np.int32)
    difference[..., 1] = step
    assert (accuracy(difference, percent=2), accuracy(difference, percent=5)) == (eps2, eps5)


def test_values_that_are_not_finite_are_counted_and_poison_nothing(photo):
    ab = rgb_to_lab(photo)[..., 1:]
    ab[3, 4, 0], ab[5, 6, 1] = np.nan, np.inf
    metrics = photo_metrics(photo, ab)
    assert metrics["not_finite"] == 1
    assert all(math.isfinite(value) for value in metrics.values())


def test_a_prediction_of_another_shape_is_refused(photo):
    with pytest.raises(ValueError, match=r"expected ab of shape \(103, 103, 2\).*received \(103, 103, 3\)"):
        photo_metrics(photo, np.zeros((103, 103, 3), np.float32))


def test_sums_give_the_same_means_however_they_are_split_and_merged():
    random = np.random.default_rng(0)
    photos = [
        {
            source: dict(zip((*METRICS, "not_finite"), [*random.uniform(0, 50, len(METRICS)), index % 2], strict=True))
            for source in ("model", "grayscale")
        }
        for index in range(10)
    ]
    whole = MetricSums()
    for photo in photos:
        whole.add(photo)
    parts = [MetricSums() for _ in range(3)]
    for index, photo in enumerate(photos):
        parts[index % 3].add(photo)
    merged = MetricSums().merge(parts[2]).merge(MetricSums()).merge(parts[0]).merge(parts[1])
    for source in ("model", "grayscale"):
        means = whole.means(source)
        assert means == pytest.approx(merged.means(source))
        assert list(means) == [*METRICS, "n_images"]
        assert means["n_images"] == 10
        assert means["ssim"] == pytest.approx(np.mean([photo[source]["ssim"] for photo in photos]))
    assert whole.not_finite("model") == merged.not_finite("model") == 5
    with pytest.raises(ValueError, match="no photo"):
        MetricSums().means("model")


@pytest.mark.parametrize(("share", "left_gray"), [(0.0, 1.0), (0.2, 1.0), (0.3, 0.0), (1.0, 0.0)])
def test_a_photo_with_under_a_quarter_of_the_chroma_is_left_gray(photo, share, left_gray):
    assert photo_metrics(photo, share * rgb_to_lab(photo)[..., 1:])["left_gray"] == left_gray


def test_a_gray_photo_is_never_left_gray():
    gray = np.full((16, 16, 3), 90, np.uint8)
    assert photo_metrics(gray, np.zeros((16, 16, 2), np.float32))["left_gray"] == 0
