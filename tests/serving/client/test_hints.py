"""Hints, likely colours, uncertainty and the sides at which the model is asked, between the client and a server."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from photo.color import rgb_to_lab, rgb_to_lightness
from photo.coloring_options import ColoringOptions
from photo.errors import SignatureMissing, TintypeError
from serving.client import AsyncColorizer, Colorizer, Hint, LikelyColor
from serving.client.options import ConnectionOptions
from tests.serving.wire_server import WireServer, running

GRAY = np.full((50, 100, 3), 128, np.uint8)
BROWN = "#9a6b3c"


@pytest.fixture
def guided_server():
    with running(WireServer(has_guided=True, stride=32)) as served:
        yield served


@pytest.fixture
def colorizer(guided_server):
    with Colorizer(guided_server.address, ConnectionOptions(timeout=10)) as colorizer:
        yield colorizer


def ab_at(rgb: np.ndarray, x: float, y: float) -> np.ndarray:
    return rgb_to_lab(rgb)[int(y * (len(rgb) - 1)), int(x * (rgb.shape[1] - 1)), 1:]


def test_a_hint_colours_its_place_and_the_lightness_stays(colorizer, guided_server):
    colored = colorizer.colorize(GRAY, hints=[Hint(0.25, 0.5, BROWN, radius=0.15)])
    assert guided_server.requests == ["describe", "guided"]
    brown = rgb_to_lab(np.array([0x9A, 0x6B, 0x3C], np.uint8))[1:]
    np.testing.assert_allclose(ab_at(colored, 0.25, 0.5), brown, atol=1.5)
    assert ab_at(colored, 0.75, 0.5)[1] < -10  # the server's own blue
    assert np.abs(rgb_to_lightness(colored) - rgb_to_lightness(GRAY)).max() < 0.6


def test_a_place_is_one_of_the_upright_photograph(colorizer, guided_server):
    sideways = Image.fromarray(GRAY[..., 0])  # 100 x 50, shown as 50 x 100
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    sideways.save(buffer, "JPEG", exif=exif)
    colorizer.colorize(buffer.getvalue(), hints=[Hint(0, 1, BROWN)])
    assert np.argwhere(guided_server.hints[0][0, ..., 2]).tolist() == [[31, 8]]


def test_without_hints_the_usual_signature_is_asked(colorizer, guided_server):
    colorizer.colorize(GRAY, hints=[])
    assert guided_server.requests == ["describe", "serving_default"]


def test_a_model_without_hints_is_named_in_one_sentence(wire_server):
    with Colorizer(wire_server.address, ConnectionOptions(timeout=10)) as colorizer:
        for ask in (
            lambda: colorizer.colorize(GRAY, hints=[Hint(0, 0, BROWN)]),
            lambda: colorizer.likely_colors(GRAY, 0, 0),
            lambda: colorizer.uncertainty(GRAY),
        ):
            with pytest.raises(
                SignatureMissing, match=r"^model 'colorizer' at \S+ takes no hints: it has no signature"
            ):
                ask()


def test_likely_colours_are_those_of_the_places_cell(colorizer):
    # 100 x 50 lies in rows 8..23 of 32; the middle of the lower edge is cell (23, 16), and (5, 4) of the small map.
    likely = colorizer.likely_colors(GRAY, 0.5, 1)
    assert len(likely) == 8
    assert [share for _, share in likely] == [0.5**power for power in range(1, 9)]
    assert isinstance(likely[0], LikelyColor)
    rgb = np.array(Hint(0, 0, likely[0].color).rgb, np.uint8)
    np.testing.assert_allclose(rgb_to_lab(rgb), [rgb_to_lightness(GRAY)[0, 0], 10, 8], atol=0.7)


def test_likely_colours_know_the_hints_that_are_set(colorizer, guided_server):
    colorizer.likely_colors(GRAY, 0.5, 0.5, hints=[Hint(0, 0, BROWN)])
    assert guided_server.hints[0][..., 2].sum() == 1
    with pytest.raises(ValueError, match=r"x: expected a number of 0\.\.1"):
        colorizer.likely_colors(GRAY, 1.5, 0)


def test_uncertainty_comes_at_the_photographs_size(colorizer):
    ramp = np.tile(np.linspace(0, 1, 100, dtype=np.float32)[None, :, None], (50, 1, 3))
    spread = colorizer.uncertainty(ramp)
    assert (spread.shape, spread.dtype) == ((50, 100), np.float32)
    np.testing.assert_allclose(spread, rgb_to_lightness(ramp), atol=2.5)  # the server says L


def test_asyncio_asks_the_same(colorizer, guided_server):
    hints = [Hint(0.3, 0.4, BROWN)]

    async def ask():
        async with AsyncColorizer(guided_server.address, ConnectionOptions(timeout=10)) as client:
            return (
                await client.colorize(GRAY, hints=hints),
                await client.likely_colors(GRAY, 0.3, 0.4),
                await client.uncertainty(GRAY),
                await client.find_ab(GRAY, hints=hints, render=(64,)),
            )

    colored, likely, spread, ab = asyncio.run(ask())
    np.testing.assert_array_equal(colored, colorizer.colorize(GRAY, hints=hints))
    assert likely == colorizer.likely_colors(GRAY, 0.3, 0.4)
    np.testing.assert_array_equal(spread, colorizer.uncertainty(GRAY))
    np.testing.assert_array_equal(ab, colorizer.find_ab(GRAY, hints=hints, render=(64,)))


def test_files_have_the_hints_of_their_paths(colorizer, guided_server, tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(GRAY[..., 0]).save(tmp_path / name)
    files = [(tmp_path / name, tmp_path / f"out-{name}") for name in ("a.png", "b.png")]
    results = colorizer.colorize_files(files, hints={tmp_path / "b.png": [Hint(0.5, 0.5, BROWN, 0.2)]}, concurrency=1)
    assert [result.error for result in results] == [None, None]
    assert guided_server.requests == ["describe", "serving_default", "guided"]
    assert ab_at(np.asarray(Image.open(tmp_path / "out-b.png")), 0.5, 0.5)[1] > 10


def test_hints_and_variants_together_are_that_photographs_error(colorizer, tmp_path):
    Image.fromarray(GRAY[..., 0]).save(tmp_path / "a.png")
    files = [(tmp_path / "a.png", [tmp_path / "out-1.png", tmp_path / "out-2.png"])]
    [result] = colorizer.colorize_files(files, hints={tmp_path / "a.png": [Hint(0.5, 0.5, BROWN)]}, seed=0)
    assert str(result.error) == "hints give one colouring; leave the variants or the hints out"


def test_the_model_is_asked_at_the_side_that_is_wanted(colorizer, guided_server):
    colorizer.colorize(GRAY, ColoringOptions(render=(64,)))
    assert guided_server.squares == [(1, 64, 64, 1)]
    assert colorizer.find_ab(GRAY, render=(96,)).shape == (1, 96, 96, 2)
    colorizer.colorize(GRAY, ColoringOptions(render=(64,)), hints=[Hint(1, 1, BROWN)])
    assert np.argwhere(guided_server.hints[0][0, ..., 2]).tolist() == [[47, 63]]


def test_the_answers_at_two_sides_are_averaged(colorizer, guided_server):
    def spoil(ab):
        return np.full_like(ab, ab.shape[1])  # the side itself

    guided_server.spoil = spoil
    [ab] = colorizer.find_ab(GRAY, render=(32, 64))
    assert ab.shape == (64, 64, 2)
    assert (ab[16:48] == 48).all()
    assert sorted(guided_server.squares) == [(1, 32, 32, 1), (1, 64, 64, 1)]


@pytest.mark.parametrize("side", [33, 544])
def test_a_side_that_the_model_cannot_take_is_refused_before_it_is_asked(colorizer, guided_server, side):
    with pytest.raises(TintypeError, match=f"render: the model takes multiples of 32 up to 512, received {side}"):
        colorizer.colorize(GRAY, ColoringOptions(render=(side,)))
    assert guided_server.requests == ["describe"]


def test_a_mean_of_variants_is_refused(colorizer, guided_server):
    guided_server.has_variants = True
    assert len(colorizer.variants(GRAY, 2, ColoringOptions(render=(64,)))) == 2
    with pytest.raises(TintypeError, match="render: the mean of variants"):
        colorizer.variants(GRAY, 2, ColoringOptions(render=(32, 64)))


@pytest.mark.parametrize("render", [(), (0,), (64, 64), (32, 64, 96, 128, 160)])
def test_impossible_sides_are_named(render):
    with pytest.raises(ValueError, match=r"render: expected 1\.\.4 different sides"):
        ColoringOptions(render=render)


def test_an_answer_of_another_shape_is_no_answer(colorizer, guided_server):
    guided_server.spoil = lambda ab: ab
    real = guided_server.guided
    guided_server.guided = lambda *given: {
        name: array[..., :1] if array.ndim == 5 else array for name, array in real(*given).items()
    }
    with pytest.raises(TintypeError, match=r"expected likely_colors, float32 of shape \(1, 8, 8, 8, 2\)"):
        colorizer.likely_colors(GRAY, 0, 0)
