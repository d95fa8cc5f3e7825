"""Looks, warmth and saturation of a model's colours."""

import numpy as np
import pytest

from photo.color import rgb_to_lab, rgb_to_lightness
from photo.coloring import finish, prepare
from photo.coloring_options import ColoringOptions
from photo.looks import in_palette
from photo.palette import AS_FOUND, Look, Palette

LIGHTNESS = np.tile(np.linspace(0, 100, 16, dtype=np.float32), (4, 1))
SKIN, SKY, GRASS = (18.0, 22.0), (-5.0, -35.0), (-30.0, 35.0)


def colors(ab: tuple[float, float]) -> np.ndarray:
    return np.broadcast_to(np.float32(ab), (4, 16, 2))


def hue_and_chroma(ab: np.ndarray) -> tuple[float, float]:
    a, b = ab[0, 8]
    return float(np.degrees(np.arctan2(b, a))), float(np.hypot(a, b))


def test_the_faithful_palette_changes_no_number():
    ab = colors(SKIN)
    assert in_palette(LIGHTNESS, ab, AS_FOUND) is ab


@pytest.mark.parametrize("look", [look for look in Look if look is not Look.FAITHFUL])
def test_every_look_is_seen_and_leaves_black_black(look):
    shown = in_palette(LIGHTNESS, colors(SKY), Palette(look=look))
    assert shown.dtype == np.float32
    assert np.abs(shown - colors(SKY))[0, 8].max() > 2
    np.testing.assert_allclose(in_palette(LIGHTNESS, colors((0, 0)), Palette(look=look))[:, 0], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("look", "ab", "turns", "more"),
    [
        (Look.VIVID, SKY, 0, True),
        (Look.FADED, SKY, None, False),
        (Look.KODACHROME, SKY, -1, True),
        (Look.COOL, SKIN, None, False),
    ],
)
def test_a_look_turns_and_fills_hues_as_its_process_did(look, ab, turns, more):
    hue, chroma = hue_and_chroma(in_palette(LIGHTNESS, colors(ab), Palette(look=look)))
    before, chroma_before = hue_and_chroma(colors(ab))
    assert (chroma > chroma_before) is more
    if turns is not None:
        assert np.sign(round(hue - before)) == turns


def test_warmth_moves_gray_towards_yellow_or_blue_and_more_in_the_light():
    warm = in_palette(LIGHTNESS, colors((0, 0)), Palette(warmth=0.5))
    cold = in_palette(LIGHTNESS, colors((0, 0)), Palette(warmth=-0.5))
    np.testing.assert_allclose(warm, -cold)
    assert warm[0, 12, 1] > warm[0, 6, 1] > 2
    assert warm[0, 12, 1] > 4 * warm[0, 12, 0] > 0


def test_saturation_spares_the_tones_of_the_light_and_strength_does_not():
    warm = Palette(warmth=1, saturation=0)
    np.testing.assert_array_equal(
        in_palette(LIGHTNESS, colors(GRASS), warm), in_palette(LIGHTNESS, colors((0, 0)), Palette(warmth=1))
    )
    assert not in_palette(LIGHTNESS, colors(GRASS), Palette(warmth=1, look="faded", strength=0)).any()


@pytest.mark.parametrize("look", list(Look))
def test_the_lightness_of_a_photograph_stays_in_every_look(look, astronaut):
    gray = np.repeat(astronaut.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    ab = np.random.default_rng(0).normal(0, 15, (64, 64, 2)).astype(np.float32)
    shown = finish(prepare(gray, 64), ab, ColoringOptions(look=look, warmth=0.4))
    assert np.abs(rgb_to_lab(shown)[..., 0] - rgb_to_lightness(gray)).max() < 0.6


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"look": "sepia"},
            "expected a look of faithful, vivid, .*, received 'sepia'",
        ),
        ({"warmth": 2}, "expected a warmth of -1..1, received 2"),
        ({"saturation": float("nan")}, "expected a saturation of at least 0, received nan"),
    ],
)
def test_what_no_palette_has_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        ColoringOptions(**wrong)
