"""Photographs as archives hold them: toned, yellowed, with grain, scratches and stains."""

import cv2
import numpy as np
import pytest
from skimage import data

from photo.apply_ab import apply_ab
from photo.color import join_lightness_and_color, rgb_to_lab, rgb_to_lightness
from photo.coloring_options import ColoringOptions
from photo.encoding import encode_photo
from photo.geometry import resize
from photo.tint import measure_tint
from photo.upsampling import upsample_color
from serving.client import Colorizer

SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def worn(lightness: np.ndarray, *, grain: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Give L* [H, W] grain and bright scratches from top to bottom; the second result is where these are."""
    generator = np.random.default_rng(1)
    height, width = lightness.shape
    scratches = np.zeros(lightness.shape, np.uint8)
    for number in range(12):
        top, drift = int(generator.integers(0, width)), int(generator.integers(-width // 12, width // 12))
        cv2.line(scratches, (top, 0), (top + drift, height), 255, 1 + number % 2, cv2.LINE_AA)
    share = scratches.astype(np.float32) / 255
    grainy = lightness + generator.normal(0, grain, lightness.shape) if grain else lightness
    return np.clip(grainy * (1 - share) + 95 * share, 0, 100).astype(np.float32), scratches > 128


def toned(lightness: np.ndarray) -> np.ndarray:
    """Tone L* [H, W] as a print is: sepia in the middle, yellowed paper in the lights, nearly neutral blacks; uint8."""
    tint = [np.interp(lightness, [0, 15, 60, 100], values) for values in ([0, 1, 6, 2], [0, 4, 20, 12])]
    return join_lightness_and_color(lightness, np.dstack(tint).astype(np.float32))


@pytest.fixture(scope="module")
def lightness() -> np.ndarray:
    return rgb_to_lightness(data.coffee())


@pytest.fixture
def colorizer(wire_server):
    with Colorizer(wire_server.address) as colorizer:
        yield colorizer


def test_a_toned_photograph_is_coloured_as_the_gray_one_is(colorizer, lightness):
    old, _ = worn(lightness)
    gray = join_lightness_and_color(old, np.zeros((*old.shape, 2), np.float32))
    difference = colorizer.colorize(toned(old)).astype(int) - colorizer.colorize(gray)
    assert np.abs(difference).mean() < 0.5  # the two were rounded to 8 bits apart, which blacks show most
    assert np.quantile(np.abs(difference), 0.999) <= 1


def test_the_light_and_shade_of_a_print_stay_whatever_toned_it(colorizer):
    """A filter as in cameras makes the photograph lighter, too: what is seen on it counts, as in every photograph."""
    sepia = np.clip(data.coffee() @ SEPIA.T, 0, 255).astype(np.uint8)
    colored = rgb_to_lab(colorizer.colorize(sepia))
    shown = rgb_to_lightness(sepia)
    assert np.abs(colored[..., 0] - shown).max() < 1
    # What the server answers with, where sRGB has it: of the tint nothing is left.
    middle = (shown > 30) & (shown < 70)
    np.testing.assert_allclose(np.median(colored[middle, 1:] / shown[middle, None], axis=0), [0.2, -0.3], atol=0.01)


@pytest.mark.parametrize(("name", "most"), [("astronaut", 0.5), ("coffee", 0.7), ("chelsea", 0.12), ("rocket", 0.5)])
def test_scratches_do_not_tear_the_colour(name, most):
    """The colour error that scratches add where they are; half of what it is when colour follows every lightness."""
    lab = rgb_to_lab(getattr(data, name)())
    lightness, ab = np.ascontiguousarray(lab[..., 0]), np.ascontiguousarray(lab[..., 1:])
    small = resize(ab, round(ab.shape[0] * 128 / ab.shape[1]), 128)

    def errors(lightness):
        upsampled = upsample_color(small, resize(lightness, *small.shape[:2]), lightness)
        return np.linalg.norm(upsampled - ab, axis=-1)[scratches].mean()

    scratched, scratches = worn(lightness, grain=0)
    assert errors(scratched) - errors(lightness) < most


def test_a_kept_tint_is_that_of_the_print_light_and_shade_their_own(colorizer, lightness):
    old, _ = worn(lightness)
    photo = toned(old)
    back = colorizer.colorize(photo, ColoringOptions(strength=0, keep_tint=True))
    assert np.abs(back.astype(int) - photo).mean() < 1  # no colour laid over it: the print itself
    added = rgb_to_lab(colorizer.colorize(photo, ColoringOptions(keep_tint=True))) - rgb_to_lab(
        colorizer.colorize(photo)
    )
    middle = (old > 40) & (old < 60)
    np.testing.assert_allclose(np.median(added[middle], axis=0), [0, 4.5, 15.5], atol=1)


def test_wear_and_stains_hardly_move_the_tint(lightness):
    old, _ = worn(lightness)
    photo = toned(old)
    photo[40:120, 60:260] = (40, 60, 160)  # a stamp in blue ink
    clean, damaged = measure_tint(toned(lightness)), measure_tint(photo)
    assert clean is not None
    assert damaged is not None
    between = np.arange(10, 95, 5, dtype=np.float32)
    np.testing.assert_allclose(damaged.of(between), clean.of(between), atol=3.5)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "colorwheel"])
def test_a_photograph_in_colour_has_no_tint(name):
    photo = getattr(data, name)()[..., :3]
    assert measure_tint(photo) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (40, 700)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_a_gray_photograph_of_any_size_and_kind_has_a_tint_of_nothing(shape, dtype):
    gray = np.random.default_rng(0).integers(0, 256, (*shape, 1)).repeat(3, axis=2)
    photo = (gray / 255).astype(dtype) if np.dtype(dtype).kind == "f" else (gray * (np.iinfo(dtype).max // 255))
    tint = measure_tint(photo.astype(dtype))
    assert tint is not None
    assert np.abs(tint.ab).max() < 0.01


def test_every_way_to_colour_keeps_the_tint(colorizer, wire_server, lightness, tmp_path):
    photo = encode_photo(toned(worn(lightness)[0]), "PNG")
    (tmp_path / "old.png").write_bytes(photo)
    options = ColoringOptions(keep_tint=True, mark_metadata=False)
    expected = colorizer.colorize(photo, options)
    assert expected != colorizer.colorize(photo)
    [ab] = colorizer.find_ab(photo)
    assert apply_ab(photo, ab, options) == expected
    assert next(colorizer.colorize_many([photo], options)).colored == expected
    assert colorizer.colorize_file(tmp_path / "old.png", tmp_path / "a.png", options).read_bytes() == expected
    wire_server.has_variants = True
    assert colorizer.variants(photo, 1, options) == [expected]
