import io
import json
import threading
import zipfile

import grpc
import numpy as np
import pytest
from PIL import Image

from benchmarks.free_port import free_port
from photo.apply_ab import apply_ab
from photo.color import rgb_to_lab
from photo.decoding import decode_photo
from photo.encoding import encode_photo
from serving.client import ColoringOptions, Colorizer
from serving.web.settings import Limits

# Marks name the second in which a photo was coloured; without them results can be compared byte for byte.
UNMARKED = "/api/colorize?mark_metadata=false"


def test_a_photo_comes_back_as_the_client_would_colour_it(gateway, jpeg):
    answer = gateway.client.post(UNMARKED, content=jpeg, headers={"X-File-Name": "gro%C3%9Fmutter.jpg"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert "filename*=UTF-8''gro%C3%9Fmutter-coloured.jpg" in answer.headers["content-disposition"]
    with Colorizer(gateway.model_server.address) as colorizer:
        assert answer.content == colorizer.colorize(jpeg, ColoringOptions(mark_metadata=False))


def test_form_strength_and_format_are_heeded(gateway, gray, jpeg):
    answer = gateway.client.post(
        "/api/colorize?strength=0&format=png", files={"photo": ("a.jpg", jpeg, "application/x-nonsense")}
    )
    assert answer.headers["content-type"] == "image/png"
    assert 'filename="a-coloured.png"' in answer.headers["content-disposition"]
    a_and_b = rgb_to_lab(decode_photo(answer.content).rgb)[..., 1:]
    assert np.abs(a_and_b).max() < 1


def test_several_variants_come_as_a_zip(gateway, jpeg):
    answer = gateway.client.post(f"{UNMARKED}&variants=3", files={"photo": ("a.jpg", jpeg)})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive, Colorizer(gateway.model_server.address) as colorizer:
        assert archive.namelist() == [f"a-coloured-variant-{number}.jpg" for number in (0, 1, 2)]
        expected = colorizer.variants(jpeg, 3, ColoringOptions(mark_metadata=False))
        assert [archive.read(name) for name in archive.namelist()] == expected


def test_variants_of_a_model_that_gives_one_are_refused_alone_and_left_out_in_a_job(gateway, jpeg):
    gateway.model_server.has_variants = False
    answer = gateway.client.post("/api/colorize?variants=2", content=jpeg)
    assert (answer.status_code, answer.json()["title"]) == (422, "This model gives one colouring only")
    job = gateway.client.post("/api/jobs?variants=4", content=jpeg).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    assert (photo["state"], photo["variants"]) == ("done", 1)


def test_a_job_goes_from_upload_to_events_to_pictures_to_zip(gateway, gray, jpeg):
    png = encode_photo(gray[:90], "PNG")
    answer = gateway.client.post("/api/jobs?variants=3", files=[("photo", ("a.jpg", jpeg)), ("photo", ("a.jpg", jpeg))])
    assert answer.status_code == 202
    address = answer.headers["location"]
    assert gateway.client.post(f"{address}/photos", content=png, headers={"X-File-Name": "b.png"}).status_code == 202
    with gateway.client.stream("GET", f"{address}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.headers["x-accel-buffering"] == "no"  # else nginx waits for more of them
        documents = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
    last = documents[-1]
    assert last["state"] == "done"
    assert [(photo["name"], photo["state"], photo["variants"]) for photo in last["photos"]] == [
        ("a.jpg", "done", 3), ("a.jpg", "done", 3), ("b.png", "done", 3)
    ]  # fmt: skip
    assert (last["photos"][2]["width"], last["photos"][2]["height"]) == (256, 90)

    with Colorizer(gateway.model_server.address) as colorizer:
        ab = colorizer.find_ab(jpeg, 3)
    chosen = gateway.client.patch(f"{address}/photos/0", json={"variant": 2, "strength": 0.5})
    assert (chosen.json()["variant"], chosen.json()["strength"]) == (2, 0.5)
    expected = apply_ab(jpeg, ab[2], ColoringOptions(strength=0.5, mark_metadata=False))
    assert gateway.client.get(f"{address}/photos/0/image?mark_metadata=false").content == expected
    chosen = gateway.client.patch(f"{address}/photos/0", json={"look": "kodachrome", "warmth": -0.25}).json()
    assert [chosen[name] for name in ("strength", "look", "warmth", "saturation")] == [0.5, "kodachrome", -0.25, 1]
    palette = {"strength": 0.5, "look": "kodachrome", "warmth": -0.25}
    tried = apply_ab(jpeg, ab[2], ColoringOptions(**palette, saturation=0.5, mark_metadata=False))
    assert gateway.client.get(f"{address}/photos/0/image?saturation=0.5&mark_metadata=false").content == tried
    expected = apply_ab(jpeg, ab[2], ColoringOptions(**palette, mark_metadata=False))
    for wrong, words in (({"look": "sepia"}, "kodachrome"), ({"reference": "abc"}, "Reference: expected the colours")):
        refused = gateway.client.patch(f"{address}/photos/0", json=wrong)
        assert refused.status_code == 422
        assert words in refused.json()["detail"]
    small = gateway.client.get(f"{address}/photos/0/image?side=64&variant=0&strength=1&format=webp")
    assert Image.open(io.BytesIO(small.content)).size == (64, 64)

    with zipfile.ZipFile(
        io.BytesIO(gateway.client.get(f"{address}/photos.zip?mark_metadata=false").content)
    ) as archive:
        assert archive.namelist() == ["a-coloured.jpg", "a-coloured-2.jpg", "b-coloured.png"]
        assert archive.testzip() is None
        assert archive.read("a-coloured.jpg") == expected


def test_a_job_leaves_out_colourings_that_look_alike(gateway, jpeg):
    gateway.model_server.ab = (1.0, -1.0)
    job = gateway.client.post("/api/jobs?variants=4", content=jpeg).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    assert (photo["state"], photo["variants"]) == ("done", 1)


def test_a_photo_takes_the_colours_of_another(gateway, jpeg, astronaut):
    answer = gateway.client.post("/api/reference-colors", content=encode_photo(astronaut, "PNG"))
    reference = answer.json()["reference"]
    with Colorizer(gateway.model_server.address) as colorizer:
        expected = colorizer.colorize(jpeg, ColoringOptions(reference=reference))
    colored = gateway.client.post("/api/colorize", params={"reference": reference}, content=jpeg)
    assert np.array_equal(decode_photo(colored.content).rgb, decode_photo(expected).rgb)
    gray = gateway.client.post("/api/reference-colors", content=jpeg)
    assert (gray.status_code, "is gray" in gray.json()["detail"]) == (422, True)
    wrong = gateway.client.post("/api/colorize", params={"reference": "abc"}, content=jpeg)
    assert wrong.status_code == 422
    assert "Reference: expected" in wrong.json()["detail"]


def test_results_of_a_job_come_in_the_wanted_format_and_never_under_one_name(gateway, jpeg):
    files = [("photo", (name, jpeg)) for name in ("a.jpg", "A.JPG", "a.jpeg")]
    job = gateway.client.post("/api/jobs", files=files).json()["id"]
    gateway.job_when_done(job)
    saved = gateway.client.get(f"/api/jobs/{job}/photos/1/image?format=webp&download=true")
    assert saved.headers["content-type"] == "image/webp"
    assert 'filename="A-coloured.webp"' in saved.headers["content-disposition"]
    assert Image.open(io.BytesIO(saved.content)).format == "WEBP"
    with zipfile.ZipFile(io.BytesIO(gateway.client.get(f"/api/jobs/{job}/photos.zip?format=png").content)) as archive:
        # Many file systems take capitals for the same name.
        assert archive.namelist() == ["a-coloured.png", "A-coloured-2.png", "a-coloured-3.png"]
        assert all(Image.open(archive.open(name)).format == "PNG" for name in archive.namelist())
    for answer in (
        gateway.client.get(f"/api/jobs/{job}/photos/0/image?variant=1"),
        gateway.client.patch(f"/api/jobs/{job}/photos/0", json={"variant": 1}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (422, "/docs#problem-wrong-request")


def test_a_stream_of_events_gives_signs_of_life(start_gateway, jpeg):
    gateway = start_gateway(heartbeat_seconds=0.05)
    gateway.client.get("/readyz")
    gateway.model_server.released.clear()
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    with gateway.client.stream("GET", f"/api/jobs/{job}/events", timeout=5) as events:
        lines = events.iter_lines()
        assert ": still here" in lines
        gateway.model_server.released.set()
        assert [*lines]


def test_a_photo_that_cannot_be_used_never_stops_the_others(gateway, jpeg):
    files = [("photo", ("broken.jpg", jpeg[:700])), ("photo", ("good.jpg", jpeg)), ("photo", ("page.svg", b"<svg/>"))]
    job = gateway.client.post("/api/jobs", files=files).json()
    broken, good, page = gateway.job_when_done(job["id"])["photos"]
    assert good["state"] == "done"
    assert (broken["problem"]["status"], page["problem"]["status"]) == (422, 415)
    answer = gateway.client.get(f"/api/jobs/{job['id']}/photos/2/image")
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
    with zipfile.ZipFile(io.BytesIO(gateway.client.get(f"/api/jobs/{job['id']}/photos.zip").content)) as archive:
        assert archive.namelist() == ["good-coloured.jpg", "left-out.txt"]
        assert b"page.svg: " in archive.read("left-out.txt")


def test_a_result_too_large_for_memory_comes_from_disk_whole(gateway, gray):
    large = encode_photo(np.tile(gray, (6, 6, 1)), "TIFF")
    assert len(large) > 6e6
    answer = gateway.client.post(UNMARKED, content=large)
    with Colorizer(gateway.model_server.address) as colorizer:
        assert answer.content == colorizer.colorize(large, ColoringOptions(mark_metadata=False))
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text


def test_a_server_that_is_away_is_503_before_the_upload_and_found_again(start_gateway, jpeg, free_port):
    import httpx

    from serving.web.settings import WebSettings
    from tests.serving.web.conftest import serving

    with serving(WebSettings(), f"localhost:{free_port}") as address, httpx.Client(base_url=address) as client:
        assert client.get("/healthz").status_code == 200
        for answer in (client.get("/readyz"), client.post("/api/colorize", content=jpeg)):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["retryable"] is True
        assert client.get("/api/about").json()["model"] is None


def test_a_photo_waits_for_a_server_that_was_started_with_the_gateway_and_still_loads(jpeg):
    import httpx

    from serving.web.settings import WebSettings
    from tests.serving.web.conftest import serving
    from tests.serving.wire_server import WireServer, running

    loading = WireServer(failures=[(grpc.StatusCode.NOT_FOUND, "no version yet")] * 10_000, status=[(1, 20)])
    with (
        running(loading),
        serving(WebSettings(), loading.address, starting_seconds=30) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        threading.Timer(3, loading.failures.clear).start()  # longer than the gateway asks once
        assert client.get("/readyz").status_code == 503
        assert client.post("/api/colorize", content=jpeg).status_code == 200


def test_a_share_of_the_photographs_meets_the_canary_and_each_always_the_same_label():
    import httpx

    from serving.client.options import ConnectionOptions
    from serving.web.settings import WebSettings
    from tests.serving.web.conftest import serving
    from tests.serving.wire_server import WireServer, running

    grays = [encode_photo(np.full((8, 9, 3), 5 * number, np.uint8), "PNG") for number in range(24)]
    with (
        running(WireServer()) as model_server,
        serving(WebSettings(), model_server.address, connection=ConnectionOptions(canary_share=0.5)) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        chosen = []
        for _ in range(2):
            model_server.labels.clear()
            model_server.requests.clear()
            assert {client.post("/api/colorize", content=gray).status_code for gray in grays} == {200}
            asked = zip(model_server.requests, model_server.labels, strict=True)
            chosen.append([label for request, label in asked if request == "serving_default"])
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == len(grays)
    assert set(chosen[0]) == {"canary", "stable"}


def test_what_failed_because_the_server_went_away_is_tried_again_without_a_new_upload(start_gateway, jpeg):
    gateway = start_gateway(Limits(photo_bytes=len(jpeg)))
    gateway.client.get("/readyz")
    gateway.model_server.failures.extend([(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")] * 2)
    files = [("photo", ("a.jpg", jpeg)), ("photo", ("large.jpg", jpeg + b"\0"))]
    job = gateway.client.post("/api/jobs", files=files).json()
    photo, large = gateway.job_when_done(job["id"])["photos"]
    assert (photo["state"], photo["problem"]["retryable"]) == ("failed", True)
    gateway.model_server.failures.clear()
    assert gateway.client.post(f"/api/jobs/{job['id']}/retry").status_code == 202
    photo, still_large = gateway.job_when_done(job["id"])["photos"]
    assert photo["state"] == "done"
    assert still_large == large


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/jobs/aaaaaaaaaaaaaaaaaaaaaaaa", 404),
        ("GET", "/api/jobs/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/static/..%2fapi.py", 404),
        ("PUT", "/api/colorize", 405),
        ("POST", "/api/colorize?strength=nan", 422),
        ("POST", "/api/colorize?variants=99", 422),
        ("POST", "/api/colorize?format=exe", 422),
    ],
)
def test_wrong_requests_are_problems_in_json(gateway, method, path, status):
    answer = gateway.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


@pytest.fixture(name="free_port")
def unused_port() -> int:
    return free_port()


def test_a_photo_in_colour_is_refused_where_that_is_wanted(gateway, encode):
    colors = np.random.default_rng(0).integers(0, 255, (3, 4, 3), np.uint8)
    photo = encode(Image.fromarray(colors).resize((40, 30)), "PNG")
    assert gateway.client.post("/api/colorize", content=photo).status_code == 200
    answer = gateway.client.post("/api/colorize?color_photos=skip", content=photo)
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#problem-in-colour")


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/api/colorize?strenght=0.5", "'strenght' is unknown; expected one of color_photos, format"),
        ("POST", "/api/jobs?variant=2", "'variant' is unknown; expected one of color_photos"),
        ("GET", "/api/jobs/abcdefgh?page=2", "'page' is unknown; expected none"),
    ],
)
def test_a_misspelt_parameter_is_named(gateway, jpeg, method, path, words):
    answer = gateway.client.request(method, path, content=jpeg if method == "POST" else None)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_an_address_that_leads_nowhere_says_so_and_not_that_a_job_is_gone(gateway):
    nowhere = gateway.client.get("/api/jbos").json()
    assert (nowhere["status"], nowhere["title"]) == (404, "This address leads nowhere")
    gone = gateway.client.get("/api/jobs/abcdefgh").json()
    assert (gone["status"], gone["title"]) == (404, "There is nothing here")


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/readyz", "/metrics", "/favicon.ico", "/openapi.json"])
def test_head_is_answered_as_get_without_a_body(gateway, path):
    asked, answer = gateway.client.get(path), gateway.client.head(path)
    assert asked.status_code == answer.status_code == 200
    assert answer.headers["content-type"] == asked.headers["content-type"]
    assert not answer.content


def test_the_size_of_a_photo_that_lies_on_its_side_is_that_of_the_upright_one(gateway, gray):
    lying = Image.fromarray(gray[:100])
    exif = Image.Exif()
    exif[274] = 6  # turn it by a quarter
    encoded = io.BytesIO()
    lying.save(encoded, "JPEG", exif=exif)
    job = gateway.client.post("/api/jobs", content=encoded.getvalue()).json()["id"]
    [photo] = gateway.job_when_done(job)["photos"]
    assert (photo["width"], photo["height"]) == (100, 256)
    assert Image.open(io.BytesIO(gateway.client.get(f"/api/jobs/{job}/photos/0/image").content)).size == (100, 256)
