"""Hints, likely colours and the side of the question in the HTTP API."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from serving.client import ColoringOptions, Colorizer, Hint
from tests.serving.web.conftest import running_gateway
from tests.serving.web.test_pages import album

UNMARKED = "/api/colorize?mark_metadata=false"
BROWN = {"x": 0.5, "y": 0.5, "color": "#9a6b3c", "radius": 0.2}


@pytest.fixture
def guided():
    with running_gateway() as gateway:
        gateway.model_server.has_guided = True
        gateway.model_server.stride = 32
        yield gateway


def is_brown(data: bytes) -> bool:
    rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)
    red, _, blue = rgb[rgb.shape[0] // 2, rgb.shape[1] // 2]
    return bool(red > blue)


def test_hints_in_a_form_colour_their_places(guided, jpeg):
    answer = guided.client.post(UNMARKED, files={"photo": ("a.jpg", jpeg)}, data={"hints": json.dumps([BROWN])})
    assert answer.status_code == 200, answer.text
    with Colorizer(guided.model_server.address) as colorizer:
        hints = [Hint(0.5, 0.5, "#9a6b3c", 0.2)]
        assert answer.content == colorizer.colorize(jpeg, ColoringOptions(mark_metadata=False), hints=hints)
    assert is_brown(answer.content)


@pytest.mark.parametrize(
    ("hints", "words"),
    [
        ('[{"x": 2, "y": 0, "color": "#9a6b3c"}]', "hint 1: x: expected a number"),
        ('[{"x": 0, "y": 0, "color": "brown"}]', "received 'brown'"),
        ("nonsense", "ints: it is no JSON"),
        ('{"b.jpg": []}', "ints: b.jpg is none of the photos sent"),
        ("[" * 300_000, "Expected hints of at most"),
    ],
)
def test_wrong_hints_name_the_field_and_the_value(guided, jpeg, hints, words):
    answer = guided.client.post("/api/colorize", files={"photo": ("a.jpg", jpeg)}, data={"hints": hints})
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#problem-wrong-request")
    assert words in answer.json()["detail"]


def test_hints_and_variants_exclude_one_another(guided, jpeg):
    answer = guided.client.post(
        "/api/colorize?variants=2", files={"photo": ("a.jpg", jpeg)}, data={"hints": json.dumps([BROWN])}
    )
    assert (answer.status_code, "Hints give one colouring" in answer.json()["detail"]) == (422, True)


def test_a_model_without_hints_is_a_problem_of_its_own(guided, jpeg):
    guided.model_server.has_guided = False
    answer = guided.client.post("/api/colorize", files={"photo": ("a.jpg", jpeg)}, data={"hints": json.dumps([BROWN])})
    assert (answer.status_code, answer.json()["title"]) == (422, "This model takes no hints")
    likely = guided.client.post("/api/likely-colors?x=0.5&y=0.5", content=jpeg)
    assert likely.json()["type"] == "/docs#problem-no-hints"


def test_likely_colours_of_a_place(guided, jpeg):
    likely = guided.client.post("/api/likely-colors?x=0.5&y=0.5", content=jpeg).json()
    assert [each["share"] for each in likely] == [0.5**power for power in range(1, 9)]
    with Colorizer(guided.model_server.address) as colorizer:
        assert [each["color"] for each in likely] == [color for color, _ in colorizer.likely_colors(jpeg, 0.5, 0.5)]
    assert guided.client.post("/api/likely-colors?x=1.5&y=0.5", content=jpeg).status_code == 422


def test_photos_of_a_job_have_the_hints_of_their_names_and_can_be_given_others(guided, jpeg):
    files = [("photo", ("a.jpg", jpeg)), ("photo", ("b.jpg", jpeg))]
    job = guided.client.post("/api/jobs?variants=3", files=files, data={"hints": json.dumps({"b.jpg": [BROWN]})}).json()
    first, second = guided.job_when_done(job["id"])["photos"]
    assert (first["variants"], first["hints"]) == (3, [])
    assert (second["variants"], second["hints"]) == (1, [BROWN | {"page": None}])
    images = [f"/api/jobs/{job['id']}/photos/{number}/image" for number in (0, 1)]
    assert [is_brown(guided.client.get(image).content) for image in images] == [False, True]

    held = guided.client.get("/metrics").text
    for hints in ([BROWN], [], [BROWN]):
        answer = guided.client.post(f"/api/jobs/{job['id']}/photos/0/hints", json=hints)
        assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
        [again, _] = guided.job_when_done(job["id"])["photos"]
        assert (again["state"], again["hints"]) == ("done", [hint | {"page": None} for hint in hints])
        assert is_brown(guided.client.get(images[0]).content) == bool(hints)
    line = next(line for line in held.splitlines() if "held_bytes " in line and not line.startswith("#"))
    assert line in guided.client.get("/metrics").text  # what is held does not grow with every change

    likely = guided.client.get(f"/api/jobs/{job['id']}/photos/0/likely-colors?x=0.5&y=0.5")
    assert (likely.status_code, len(likely.json())) == (200, 8)
    assert guided.model_server.hints[-1][..., 2].any()
    wrong = guided.client.post(f"/api/jobs/{job['id']}/photos/0/hints", json=[{"x": 2, "y": 0, "color": "#000000"}])
    assert (wrong.status_code, "x" in wrong.json()["detail"]) == (422, True)


def test_a_hint_colours_the_page_that_it_names(guided):
    job = guided.client.post("/api/jobs", content=album()).json()
    guided.job_when_done(job["id"])
    where = f"/api/jobs/{job['id']}/photos/0"
    guided.client.post(f"{where}/hints", json=[BROWN | {"page": 3}])
    [photo] = guided.job_when_done(job["id"])["photos"]
    assert (photo["state"], photo["hints"]) == ("done", [BROWN | {"page": 3}])
    pages = [guided.client.get(f"{where}/image?format=png&page={page}").content for page in (1, 2, 3)]
    assert [is_brown(page) for page in pages] == [False, False, True]
    guided.client.post(f"{where}/hints", json=[BROWN | {"page": 4}])
    [photo] = guided.job_when_done(job["id"])["photos"]
    assert photo["problem"]["type"] == "/docs#problem-wrong-request"
    assert "A hint is for page 4, and the photograph has 3 pages" in photo["problem"]["detail"]


def test_the_model_is_asked_at_the_side_that_is_wanted(guided, jpeg):
    assert guided.client.post("/api/colorize?render=64", content=jpeg).status_code == 200
    assert guided.model_server.squares == [(1, 64, 64, 1)]
    job = guided.client.post("/api/jobs?render=96,32", content=jpeg).json()
    [photo] = guided.job_when_done(job["id"])["photos"]
    assert photo["state"] == "done"
    assert guided.client.get(f"/api/jobs/{job['id']}/photos/0/image").status_code == 200
    assert guided.model_server.squares[1:] == [(1, 96, 96, 1), (1, 32, 32, 1)]


@pytest.mark.parametrize(
    ("render", "words"), [("33", "multiples of 32 up to 512"), ("64,64", "different sides"), ("big", "render")]
)
def test_a_side_that_cannot_be_is_named(guided, jpeg, render, words):
    answer = guided.client.post(f"/api/colorize?render={render}", content=jpeg)
    assert (answer.status_code, words in answer.json()["detail"]) == (422, True)
