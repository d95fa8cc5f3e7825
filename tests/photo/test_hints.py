import json

import numpy as np
import pytest

from photo.color import rgb_to_lab
from photo.coloring import at_side, cell_of, hint_map, mean_ab, prepare
from photo.errors import PhotoError, TintypeError
from photo.geometry import crop
from photo.hints import MAX_HINTS, Hint, HintsByPhoto, check_hints, hints_from_json, parse_hint
from photo.pages import PagePlan


def gray(height: int, width: int, shade: int = 128) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def hinted_cells(height: int, width: int, *hints: Hint, size: int = 32) -> list[tuple[int, int]]:
    return [tuple(cell) for cell in np.argwhere(hint_map(prepare(gray(height, width), size, hints=hints))[..., 2])]


def test_a_hint_lies_in_its_cell_of_the_letterboxed_square():
    # 100 x 50 in a square of 32: 16 rows from the 8th on.
    assert hinted_cells(50, 100, Hint(0, 0, "#808080")) == [(8, 0)]
    assert hinted_cells(50, 100, Hint(1, 1, "#808080")) == [(23, 31)]
    assert hinted_cells(50, 100, Hint(0.5, 0.5, "#808080")) == [(16, 16)]
    assert hinted_cells(100, 50, Hint(0.26, 0.1, "#808080")) == [(3, 12)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 5000), (2000, 3), (32, 32), (33, 31)])
def test_hints_stay_inside_photographs_of_every_shape(shape):
    corners = [Hint(x, y, "#aa5500", radius=0.25) for x in (0, 1) for y in (0, 1)]
    prepared = prepare(gray(*shape), 32, hints=tuple(corners))
    drawn = hint_map(prepared)
    assert drawn.dtype == np.float32
    assert drawn[..., 2].sum() == crop(drawn, prepared.box)[..., 2].sum() > 0
    for hint in corners:
        assert drawn[(*cell_of(prepared, hint.x, hint.y), 2)] == 1


def test_a_radius_is_a_share_of_the_longer_side():
    assert len(hinted_cells(50, 100, Hint(0.5, 0.5, "#aa5500", radius=1 / 32))) == 5  # the cell and its neighbours
    assert len(hinted_cells(50, 100, Hint(0.5, 0.5, "#aa5500", radius=1 / 64), size=64)) == 5


def test_where_two_hints_meet_the_later_one_counts():
    red, blue = Hint(0.5, 0.5, (200, 40, 40), radius=0.1), Hint(0.5, 0.5, (40, 40, 200))
    drawn = hint_map(prepare(gray(40, 40), 32, hints=(red, blue)))
    assert drawn[16, 16, 1] < -20
    assert drawn[15, 16, 0] > 20
    assert hint_map(prepare(gray(40, 40), 32, hints=(blue, red)))[16, 16, 0] > 20


def test_the_colour_of_a_hint_is_taken_at_the_photographs_own_lightness():
    drawn = hint_map(prepare(gray(9, 9), 8, hints=(Hint(0, 0, "#9a6b3c"),)))
    ab = drawn[drawn[..., 2] > 0][0, :2]
    np.testing.assert_allclose(ab, rgb_to_lab(np.array([0x9A, 0x6B, 0x3C], np.uint8))[1:], atol=0.05)
    bright = hint_map(prepare(gray(9, 9, 240), 8, hints=(Hint(0, 0, "#ff0000"),)))
    a, b, _ = bright[bright[..., 2] > 0][0]
    red_a, red_b = rgb_to_lab(np.array([255, 0, 0], np.uint8))[1:]
    assert 0 < np.hypot(a, b) < 0.3 * np.hypot(red_a, red_b)  # so light a red is a pale one
    assert a > 4


def test_without_hints_the_map_is_empty():
    assert not hint_map(prepare(gray(20, 30), 32)).any()


def test_the_same_photograph_at_another_side():
    prepared = prepare(gray(50, 100), 32, hints=(Hint(0.5, 0.5, "#808080"),))
    other = at_side(prepared, 64)
    direct = prepare(gray(50, 100), 64)
    np.testing.assert_array_equal(other.square, direct.square)
    assert other.box == direct.box
    assert hint_map(other)[32, 32, 2] == 1


def test_the_mean_of_two_sides_lies_in_the_square_of_the_first():
    large = prepare(gray(50, 100), 64)
    small = at_side(large, 32)
    of_large, of_small = np.full((2, 64, 64, 2), 10, np.float32), np.full((2, 32, 32, 2), 30, np.float32)
    mean = mean_ab([large, small], [of_large, of_small])
    assert mean.shape == (2, 64, 64, 2)
    assert (crop(mean[1], large.box) == 20).all()
    assert (of_large == 10).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": 1.2}, "x: expected a number of 0..1, a share of the photograph, received 1.2"),
        ({"y": -0.1}, "y: expected .* received -0.1"),
        ({"y": float("nan")}, "y: expected .* received nan"),
        ({"x": True}, "x: expected .* received True"),
        ({"x": "0.5"}, "x: expected .* received '0.5'"),
        ({"radius": 0.5}, "radius: expected .* received 0.5"),
        ({"color": "green"}, "color: expected #rrggbb or three integers of 0..255, received 'green'"),
        ({"color": (1, 2, 300)}, r"color: expected .* received \(1, 2, 300\)"),
        ({"page": 0}, r"page: expected a whole number of 1\.\.4096, received 0"),
        ({"page": 1.5}, "page: expected .* received 1.5"),
        ({"page": 10**30}, "page: expected .* received 10+"),
    ],
)
def test_a_wrong_hint_names_the_field_and_the_value(changes, words):
    with pytest.raises(ValueError, match=words):
        Hint(**{"x": 0.5, "y": 0.5, "color": "#000000", **changes})


def test_numbers_and_colours_of_numpy_are_as_good():
    hint = Hint(np.float32(0.5), np.int64(1), tuple(np.array([1, 2, 255], np.uint8)))
    assert (hint.color, hint.rgb, hint.y) == ("#0102ff", (1, 2, 255), 1.0)
    json.dumps(hint.document())


def test_hints_as_the_command_line_has_them():
    assert parse_hint("0.42,0.31=#4A6B3C") == Hint(0.42, 0.31, "#4a6b3c")
    assert parse_hint("0.42,0.31,0.02=#4a6b3c") == Hint(0.42, 0.31, "#4a6b3c", 0.02)
    assert parse_hint("2:0.42,0.31=#4a6b3c") == Hint(0.42, 0.31, "#4a6b3c", page=2)
    assert parse_hint("12:0.42,0.31,0.02=#4a6b3c") == Hint(0.42, 0.31, "#4a6b3c", 0.02, page=12)
    for text, words in {
        "0.42=#4a6b3c": "expected a hint as X,Y=#rrggbb",
        "left,0=#4a6b3c": "x: expected a number, received 'left', in the hint",
        "first:0,0=#4a6b3c": "page: expected a whole number, received 'first', in the hint",
        ":0,0=#4a6b3c": "page: expected a whole number, received ''",
        "0:0,0=#4a6b3c": "page: expected a whole number of 1..4096, received 0, in the hint",
        "0,7=#4a6b3c": "y: expected .* received 7.0, in the hint",
        "0,0=sky": "color: expected #rrggbb .* received 'sky'",
    }.items():
        with pytest.raises(ValueError, match=words):
            parse_hint(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[", "marks.json: it is no JSON"),
        (b"\xff\xfe\xff", "marks.json: it is no JSON"),
        (b"[" * 100_000, "marks.json: it is no JSON"),
        (b'{"x": 0}', "marks.json: expected a list of hints"),
        (b"[3]", "marks.json: hint 1: expected a hint with the fields x, y and color, received 3"),
        (b'[{"x": 0, "y": 0}]', "marks.json: hint 1: color: is missing"),
        (b'[{"x": 0, "y": 0, "color": "#ffffff", "colour": 1}]', "hint 1: expected the fields .* received 'colour'"),
        (b'[{"x": 1e999, "y": 0, "color": "#ffffff"}]', "hint 1: x: expected .* received inf"),
        (b'[{"x": 1' + b"0" * 400 + b', "y": 0, "color": "#ffffff"}]', "hint 1: x: expected"),
        (b'[{"x": 0, "y": 0, "color": [0, 0]}]', "hint 1: color: expected"),
    ],
)
def test_wrong_hints_in_json_name_the_source_the_field_and_the_value(text, words):
    with pytest.raises(TintypeError, match=words):
        hints_from_json(text, "marks.json")


def test_hints_of_many_photographs_are_found_by_the_end_of_their_path():
    one, other = [{"x": 0, "y": 0, "color": "#ffffff"}], [{"x": 1, "y": 1, "color": [0, 0, 255], "radius": 0.1}]
    hints = HintsByPhoto.from_json(json.dumps({"a.jpg": one, "box/a.jpg": other, "none.jpg": []}), "hints.json")
    assert hints.of("/album/a.jpg") == (Hint(0, 0, "#ffffff"),)
    assert hints.of("/album/box/a.jpg") == (Hint(1, 1, "#0000ff", 0.1),)
    assert hints.of("ba.jpg") == ()
    assert hints.unused_names(["/album/a.jpg", "none.jpg"]) == ["box/a.jpg"]
    with pytest.raises(TintypeError, match=r"hints.json: 'a.jpg': hint 1: y: is missing"):
        HintsByPhoto.from_json('{"a.jpg": [{"x": 0, "color": "#ffffff"}]}', "hints.json")


def test_hints_are_written_down_as_they_are_read():
    hints = (Hint(0.1, 0.2, "#9a6b3c"), Hint(0.3, 0.4, "#0000ff", 0.1, page=3))
    assert hints_from_json(json.dumps([hint.document() for hint in hints]), "marks.json") == hints


def test_a_hint_is_for_the_page_that_it_names_or_for_the_first_that_is_coloured():
    anywhere, second, third = Hint(0, 0, "#9a6b3c"), Hint(0, 0, "#00ff00", page=2), Hint(0, 0, "#0000ff", page=3)
    hints = (anywhere, second, third)
    all_pages = PagePlan(range(3), 3)
    assert [[hint.color for hint in all_pages.hints_of(page, hints)] for page in range(3)] == [
        [anywhere.color],
        [second.color],
        [third.color],
    ]
    assert [hint.color for hint in PagePlan(range(1, 2), 3).hints_of(1, hints)] == [anywhere.color, second.color]
    for plan, words in ((PagePlan(range(2), 2), "2 pages"), (PagePlan(range(1)), "one page")):
        with pytest.raises(PhotoError, match=f"a hint is for page 3, and the photograph has {words}"):
            plan.hints_of(0, hints)


def test_more_hints_than_a_person_sets_are_refused():
    with pytest.raises(ValueError, match=f"at most {MAX_HINTS} hints"):
        check_hints([Hint(0, 0, "#000000")] * (MAX_HINTS + 1))
    with pytest.raises(TypeError, match="expected a list of Hint"):
        check_hints(["0.5,0.5=#ffffff"])
