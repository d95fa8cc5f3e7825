import numpy as np
import pytest

from components.evaluator.evaluation import colored_row, evaluate_saved_model, square_photo
from components.evaluator.metrics import METRICS
from photo.errors import TintypeError
from serving.model.saved_colorizer import SavedColorizer
from tests.components.example_artifacts import png, tinted_photo
from tests.tiny_models import write_tiny_model


def test_the_square_is_the_centre_of_the_photo():
    photo = np.zeros((20, 60, 3), np.uint8)
    photo[:, 20:40] = (10, 200, 30)
    assert (square_photo(photo, 8) == (10, 200, 30)).all()
    assert (square_photo(photo.transpose(1, 0, 2), 32) == (10, 200, 30)).all()


def test_a_square_shrinks_by_area_and_comes_out_in_eight_bits():
    fine = np.zeros((16, 16, 3), np.uint16)
    fine[::2] = 65535
    assert (square_photo(fine, 4) == 128).all()
    assert square_photo(fine, 4).dtype == np.uint8
    every_value = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(square_photo(every_value, 256), np.round(every_value / 257).astype(np.uint8))


@pytest.fixture(scope="module")
def photos() -> list[tuple[str, bytes]]:
    return [("sea" if seed % 3 else "forest", png(tinted_photo(seed))) for seed in range(7)]


def test_a_saved_model_is_measured_through_its_signature(photos, tmp_path):
    model = write_tiny_model(tmp_path / "model", size=32)
    broken = [("sea", b"not a photo"), ("sea", b"")]
    metrics = evaluate_saved_model(str(model), broken + photos, batch_size=3)
    assert set(METRICS) <= set(metrics)
    assert metrics["n_images"] == metrics["grayscale"]["n_images"] == 7
    assert metrics["psnr_db"] > 40 > 25 > metrics["grayscale"]["psnr_db"]
    assert metrics["ab_mae"] < 1 < 5 < metrics["grayscale"]["ab_mae"]
    assert {label: group["n_images"] for label, group in metrics["labels"].items()} == {"forest": 3, "sea": 4}
    labels = metrics["labels"].values()
    assert metrics["ssim"] == pytest.approx(sum(group["ssim"] * group["n_images"] for group in labels) / 7)
    assert metrics["model"].items() >= {"recipe": "tiny", "size": 32, "stride": 1, "fingerprint": "tiny"}.items()
    assert metrics["baseline"] is None


def test_photographs_that_are_gray_themselves_are_left_out_and_counted(photos, tmp_path):
    model = write_tiny_model(tmp_path / "model", size=32)
    gray = [("sea", png(np.full((40, 40, 3), value, np.uint8))) for value in (30, 200)]
    metrics = evaluate_saved_model(str(model), [*gray, *photos])
    assert metrics["n_gray_left_out"] == 2
    assert metrics == evaluate_saved_model(str(model), photos) | {"n_gray_left_out": 2}
    with pytest.raises(TintypeError, match="nothing to measure: no photograph: all 2 are gray themselves"):
        evaluate_saved_model(str(model), gray)


def test_spoiled_gray_costs_a_part_of_the_gain_and_the_rest_stays_as_it_is(photos, tmp_path):
    model = write_tiny_model(tmp_path / "model", size=32)
    plain = evaluate_saved_model(str(model), photos)
    spoiled = evaluate_saved_model(str(model), photos, spoil_seed=3)
    assert spoiled["psnr_db"] == plain["psnr_db"]
    assert spoiled["spoiled"]["psnr_db"] < plain["psnr_db"] - 1  # the tiny model's colours follow the lightness alone
    assert spoiled["spoiled"]["gain_lost_db"] == spoiled["psnr_db"] - spoiled["spoiled"]["psnr_db"]
    assert spoiled["spoil_seed"] == 3
    assert spoiled["labels"]["sea"]["spoiled"]["n_images"] == 4
    backwards = evaluate_saved_model(str(model), photos[::-1], spoil_seed=3)
    assert spoiled["spoiled"] == pytest.approx(backwards["spoiled"])
    assert plain["spoil_seed"] is None
    assert "spoiled" not in plain


def test_portraits_are_measured_in_thirds_by_lightness_of_skin(tmp_path):
    model = write_tiny_model(tmp_path / "model", size=32, ab=(10.0, 20.0))
    skin = [("people", png(tinted_photo(seed, ab=(20.0, 40.0)))) for seed in range(6)]
    metrics = evaluate_saved_model(str(model), [*skin, ("people", png(tinted_photo(7)))], by_skin=True)
    groups = metrics["skin"]
    assert list(groups) == ["darkest third", "middle third", "lightest third"]
    assert [group["n_images"] for group in groups.values()] == [2, 2, 2]  # and one photograph without skin
    edges = [edge for group in groups.values() for edge in group["skin_lightness"]]
    assert edges == sorted(edges)
    assert groups["lightest third"]["ab_mae"] > groups["darkest third"]["ab_mae"]


def test_a_baseline_of_another_size_is_measured_at_the_candidates(photos, tmp_path):
    model = write_tiny_model(tmp_path / "model", size=32)
    baseline = write_tiny_model(tmp_path / "baseline", size=16, ab=(18.0, -27.0))
    metrics = evaluate_saved_model(str(model), photos, baseline_dir=str(baseline))
    assert metrics["grayscale"]["psnr_db"] < metrics["baseline"]["psnr_db"] < metrics["psnr_db"]
    assert metrics["baseline"]["colorfulness_truth"] == metrics["colorfulness_truth"]
    same = evaluate_saved_model(str(model), photos, baseline_dir=str(model))
    assert same["baseline"]["ab_mae"] == same["ab_mae"]


def test_models_of_different_sizes_are_measured_at_one(photos, tmp_path):
    small = write_tiny_model(tmp_path / "small", size=16)
    large = write_tiny_model(tmp_path / "large", size=64)
    measured = [evaluate_saved_model(str(model), photos, size=48) for model in (small, large)]
    assert [metrics["size"] for metrics in measured] == [48, 48]
    assert measured[0]["grayscale"] == measured[1]["grayscale"]
    assert measured[0]["psnr_db"] < measured[1]["psnr_db"]  # the colour of 16 pixels is coarser than that of 64
    own = evaluate_saved_model(str(large), photos)
    assert own["size"] == 64
    assert own == evaluate_saved_model(str(large), photos, size=64)
    with pytest.raises(ValueError, match="at least 7 pixels, got 6"):
        evaluate_saved_model(str(small), photos, size=6)


def test_a_coloured_row_is_drawn_at_the_size_that_is_asked_for(tmp_path):
    model = SavedColorizer(str(write_tiny_model(tmp_path / "model", size=16)))
    gray, colored, true = colored_row(model, tinted_photo(1), 40)
    assert gray.shape == colored.shape == true.shape == (40, 40, 3)
    assert np.abs(colored.astype(int) - true).mean() < 3 < np.abs(gray.astype(int) - true).mean()


def test_no_readable_photo_is_an_error(tmp_path):
    model = write_tiny_model(tmp_path / "model")
    with pytest.raises(TintypeError, match="no photograph could be read"):
        evaluate_saved_model(str(model), [("sea", b"nothing")])
