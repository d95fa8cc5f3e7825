import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from photo.aging import EFFECTS, HIDING, age
from photo.color import gray_of_mix, rgb_to_lightness

PHOTO = cv2.resize(astronaut()[20:276, 100:356], (128, 128), interpolation=cv2.INTER_AREA)


def aged(effect, seed=0, photo=PHOTO):
    return age(photo, {effect: 1.0}, np.random.default_rng(seed)).gray.astype(np.float32)


def true_gray(photo=PHOTO):
    return age(photo, {}, np.random.default_rng(0)).gray.astype(np.float32)


def stripes(*colors):
    """Upright stripes of these colours, sRGB."""
    return np.repeat(np.tile(np.array(colors, np.uint8)[None], (64, 1, 1)), 64 // len(colors), axis=1)


def sharpness(gray):
    return np.abs(np.diff(gray, axis=1)).mean()


def test_without_an_effect_the_gray_has_the_photograph_s_lightness():
    gray, hidden = age(PHOTO, {}, np.random.default_rng(0))
    assert gray.dtype == np.uint8
    assert not hidden.any()
    lightness = rgb_to_lightness(np.repeat(gray[..., None], 3, axis=-1))
    assert np.abs(lightness - rgb_to_lightness(PHOTO)).max() < 0.3


def test_a_mix_of_linear_channels_keeps_black_white_and_what_is_neutral():
    neutral = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[:, None], 3, axis=-1)
    for weights in (None, (0.2, 0.3, 0.5), (0.0, 0.0, 1.0)):
        assert gray_of_mix(neutral, weights) == pytest.approx(neutral[:, 0] / 255, abs=2e-4)
    assert gray_of_mix(np.array([[255, 0, 0]], np.uint8), (0.0, 0.3, 0.7)) == 0


@pytest.mark.parametrize("effect", EFFECTS)
def test_each_effect_changes_the_gray_and_follows_from_the_seed(effect):
    for seed in range(12):
        first = age(PHOTO, {effect: 1.0}, np.random.default_rng(seed))
        again = age(PHOTO, {effect: 1.0}, np.random.default_rng(seed))
        assert np.array_equal(first.gray, again.gray)
        assert np.array_equal(first.hidden, again.hidden)
        assert not np.array_equal(first.gray, true_gray())
        assert first.hidden.any() == (effect in HIDING)
    assert not np.array_equal(aged(effect, 1), aged(effect, 2))


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("shape", [(16, 16), (32, 48), (1, 1)])
def test_no_photograph_is_too_small_or_too_plain(effect, shape):
    for value in (0, 128, 255):
        for seed in range(6):
            gray, hidden = age(np.full((*shape, 3), value, np.uint8), {effect: 1.0}, np.random.default_rng(seed))
            assert gray.shape == hidden.shape == shape
            assert gray.dtype == np.uint8


def test_plates_are_blind_to_red_more_often_than_the_eye():
    red, blue = (200, 40, 40), (40, 60, 200)
    photo = stripes(red, blue, (128, 128, 128), (230, 230, 230))
    eye = true_gray(photo)[0, ::16]
    plates = np.array([aged("plate", seed, photo)[0, ::16] for seed in range(60)])
    assert eye[0] > eye[1]
    assert np.mean(plates[:, 0] < plates[:, 1]) > 0.6
    assert np.mean(plates[:, 0] > plates[:, 1]) > 0.1  # some see red
    assert (plates[:, 3] >= plates[:, 2]).all()


def test_halation_brightens_around_lights_alone():
    photo = np.full((64, 64, 3), 20, np.uint8)
    photo[28:36, 28:36] = 255
    change = aged("halation", 3, photo) - true_gray(photo)
    assert change[26, 32] > 10
    assert np.abs(change[:4]).max() <= 2


def test_blur_takes_sharpness_and_grain_adds_noise():
    assert all(sharpness(aged("blur", seed)) < 0.95 * sharpness(true_gray()) for seed in range(8))
    flat = np.full((64, 64, 3), 128, np.uint8)
    assert all(1 < aged("grain", seed, flat).std() < 25 for seed in range(8))


def test_fading_lifts_blacks_and_dulls_whites():
    photo = stripes((0, 0, 0), (255, 255, 255))
    for seed in range(8):
        black, white = aged("fading", seed, photo)[[0, 0], [16, 48]]
        assert black > 3
        assert white - black < 253


def test_contrast_is_more_often_lost_than_won():
    spread = [np.std(aged("contrast", seed)) / np.std(true_gray()) for seed in range(40)]
    assert 0.3 < np.median(spread) < 1
    assert max(spread) > 1


def test_toning_moves_middle_tones_and_leaves_black_and_white():
    photo = stripes((0, 0, 0), (120, 120, 120), (120, 120, 120), (255, 255, 255))
    change = np.array([aged("toning", seed, photo) - true_gray(photo) for seed in range(8)])
    assert np.abs(change[..., [8, 56]]).max() <= 1
    assert np.abs(change[..., 24:40]).max() > 10


@pytest.mark.parametrize("effect", ["stains", "scratches", "dust"])
def test_damage_is_local(effect):
    touched = [np.mean(np.abs(aged(effect, seed) - true_gray()) > 4) for seed in range(20)]
    assert 0 < np.mean(touched) < 0.3


@pytest.mark.parametrize("effect", HIDING)
def test_what_hides_the_photograph_says_where(effect):
    for seed in range(20):
        gray, hidden = age(PHOTO, {effect: 1.0}, np.random.default_rng(seed))
        assert 0 < hidden.mean() < 0.45
        assert not hidden[40:88, 40:88].any()
        far_inside = cv2.erode((~hidden).astype(np.uint8), np.ones((9, 9))).astype(bool)
        assert np.abs(gray[far_inside] - true_gray()[far_inside]).max() <= 1


def test_a_halftone_has_dots_and_keeps_the_mean_tone():
    flat = np.full((128, 128, 3), 120, np.uint8)
    for seed in range(8):
        gray = aged("halftone", seed, flat)
        assert gray.std() > 4
        assert abs(gray.mean() - 120) < 25


def test_chances_decide_how_often_and_an_unknown_effect_is_named():
    changed = [
        not np.array_equal(age(PHOTO, {"contrast": 0.25}, np.random.default_rng(seed)).gray, true_gray())
        for seed in range(200)
    ]
    assert 0.15 < np.mean(changed) < 0.35
    with pytest.raises(ValueError, match="no effect water; there are plate, halation"):
        age(PHOTO, {"water": 1.0}, np.random.default_rng(0))
