import numpy as np
import pytest
from skimage import color

from photo.color import (
    colorfulness,
    join_lightness_and_color,
    lab_to_rgb,
    rgb_to_lab,
    rgb_to_lightness,
)

ALL_COLOURS = np.stack(np.meshgrid(*[np.arange(0, 256, 5, dtype=np.uint8)] * 3, indexing="ij"), -1).reshape(52, -1, 3)


def test_lab_is_that_of_scikit_image():
    expected = color.rgb2lab(ALL_COLOURS)
    assert np.abs(rgb_to_lab(ALL_COLOURS) - expected).max() < 0.01
    assert np.abs(rgb_to_lightness(ALL_COLOURS) - expected[..., 0]).max() < 0.001


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_all_dtypes_mean_the_same_colours(dtype):
    scale = {"u": 257, "f": 1 / 255}[np.dtype(dtype).kind]
    same = (ALL_COLOURS * np.array(scale, dtype)).astype(dtype)
    np.testing.assert_allclose(rgb_to_lab(same), rgb_to_lab(ALL_COLOURS), atol=1e-3)


def test_there_and_back_is_exact():
    lab = rgb_to_lab(ALL_COLOURS)
    np.testing.assert_array_equal(lab_to_rgb(lab), ALL_COLOURS)
    np.testing.assert_array_equal(join_lightness_and_color(lab[..., 0], lab[..., 1:]), ALL_COLOURS)
    deep = np.random.default_rng(0).integers(0, 65536, (200, 300, 3)).astype(np.uint16)
    assert np.abs(lab_to_rgb(rgb_to_lab(deep), np.uint16).astype(int) - deep).max() <= 1


def exact_join(lightness, ab):
    """The join in float64, one formula after the other as the standards write them: [N, 3] in 0..1."""
    xyz_of_rgb = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    xyz_of_rgb /= xyz_of_rgb.sum(1, keepdims=True)
    fy = (lightness + 16) / 116
    f = np.stack([fy + ab[:, 0] / 500, fy, fy - ab[:, 1] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear, gray = xyz @ np.linalg.inv(xyz_of_rgb).T, xyz[:, 1:2]
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(linear > gray, (1 - gray) / (linear - gray), gray / (gray - linear))
    kept = np.clip(np.nan_to_num(room, nan=1.0).min(1, keepdims=True), 0, 1)
    linear = np.clip(gray + kept * (linear - gray), 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(("dtype", "steps"), [(np.uint8, 0.53), (np.uint16, 1.0), (np.float32, 1e-4)])
def test_joining_is_exact_within_a_step(dtype, steps):
    generator = np.random.default_rng(3)
    lightness = generator.uniform(0, 100, 200_000)
    lightness[:50_000] **= 0.3  # the dark end, where the curves are steep
    ab = generator.normal(0, 30, (200_000, 2))
    white = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    joined = join_lightness_and_color(lightness.astype(np.float32), ab.astype(np.float32), dtype)
    assert np.abs(joined - white * exact_join(lightness, ab)).max() < steps


def test_gray_has_no_colour():
    gray = np.arange(65536, dtype=np.uint16)[:, None].repeat(3, 1)
    assert np.abs(rgb_to_lab(gray)[:, 1:]).max() < 1e-3


def test_joining_keeps_the_lightness_of_undisplayable_colours():
    generator = np.random.default_rng(1)
    lightness = generator.uniform(0, 100, (200, 300)).astype(np.float32)
    ab = generator.uniform(-120, 120, (200, 300, 2)).astype(np.float32)
    joined = join_lightness_and_color(lightness, ab, np.float32)
    assert np.abs(rgb_to_lightness(joined) - lightness).max() < 1e-3
    clipped = lab_to_rgb(np.dstack([lightness, ab]), np.float32)
    assert np.abs(rgb_to_lightness(clipped) - lightness).mean() > 3  # what joining is there to avoid


def test_joining_moves_undisplayable_colours_no_further_than_needed():
    lightness = np.full((1, 1), 50, np.float32)
    joined = join_lightness_and_color(lightness, np.array([[[110, 90]]], np.float32), np.float32)
    assert joined.max() > 0.999 or joined.min() < 0.001  # on the gamut's surface
    a, b = rgb_to_lab(joined)[0, 0, 1:]
    assert a > 40
    assert b > 30


def test_lightness_beyond_its_range_is_white_or_black():
    lightness = np.array([[-5, 105]], np.float32)
    assert join_lightness_and_color(lightness, np.zeros((1, 2, 2), np.float32))[0].tolist() == [[0] * 3, [255] * 3]


def test_a_photo_of_any_size_is_worked_in_strips():
    wide = np.tile(ALL_COLOURS, (1, 5, 1))
    np.testing.assert_allclose(rgb_to_lab(wide)[:, -ALL_COLOURS.shape[1] :], rgb_to_lab(ALL_COLOURS), atol=1e-4)


@pytest.mark.parametrize("rgb", [np.zeros((2, 2, 3), np.int32), np.zeros((2, 2, 3), bool)])
def test_other_dtypes_are_named(rgb):
    with pytest.raises(TypeError, match=f"received {rgb.dtype}"):
        rgb_to_lab(rgb)


def test_other_shapes_are_named():
    with pytest.raises(ValueError, match=r"received \(2, 2, 4\)"):
        rgb_to_lab(np.zeros((2, 2, 4), np.uint8))


def test_colorfulness_is_hasler_and_suesstruncks():
    gray = np.full((4, 4, 3), 77, np.uint8)
    assert colorfulness(gray) == 0
    halves = np.zeros((2, 4, 3), np.uint8)
    halves[:, :2] = (255, 0, 0)
    # rg is 255 or 0, yb is 127.5 or 0: standard deviations 127.5 and 63.75, the means the same.
    expected = np.hypot(127.5, 63.75) * 1.3
    assert colorfulness(halves) == pytest.approx(expected, rel=1e-5)
    assert colorfulness(halves.astype(np.uint16) * 257) == pytest.approx(expected, rel=1e-5)
    assert colorfulness(halves / 255) == pytest.approx(expected, rel=1e-5)
