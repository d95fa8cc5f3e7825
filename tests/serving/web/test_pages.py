"""A TIFF of several pages comes back with all of them; what is not coloured is said with a count."""

import io
import zipfile

import numpy as np
import tifffile
from PIL import Image

from photo.decoding import decode_photo, read_header
from serving.client import ColoringOptions, Colorizer
from serving.web.settings import Limits

ONE_OF_THREE = "2 more pages are not coloured, as a {} is of one page"


def album() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        for number in range(3):
            out.write(np.full((30 + number, 40), 50 + 60 * number, np.uint8), metadata=None)
    return file.getvalue()


def pages_of(data: bytes) -> list[list]:
    return [decode_photo(data, page=page).rgb.tolist() for page in range(read_header(data).pages)]


def test_all_pages_come_back_or_the_one_that_is_asked_for(gateway):
    everything = gateway.client.post("/api/colorize", content=album())
    assert everything.headers["content-type"] == "image/tiff"
    assert "x-tintype-notes" not in everything.headers
    assert decode_photo(everything.content).pages == 3
    second = gateway.client.post("/api/colorize?page=2&format=png", content=album())
    assert decode_photo(second.content).rgb.shape == (31, 40, 3)
    assert "x-tintype-notes" not in second.headers
    missing = gateway.client.post("/api/colorize?page=4", content=album())
    assert (missing.status_code, "3 pages, and no page 4" in missing.json()["detail"]) == (422, True)
    assert gateway.client.post("/api/colorize?page=0", content=album()).status_code == 422


def test_what_is_not_coloured_is_said_with_a_count(gateway, encode):
    one = gateway.client.post("/api/colorize?format=png", content=album())
    assert one.headers["x-tintype-notes"] == ONE_OF_THREE.format("PNG")
    frames = [Image.new("RGB", (40, 30), (shade, shade, shade)) for shade in (10, 90, 200)]
    animation = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    moving = gateway.client.post("/api/colorize", content=animation)
    assert moving.headers["x-tintype-notes"] == "2 more frames of the animation are not coloured"
    job = gateway.client.post("/api/jobs", content=animation).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    assert photo["notes"] == ["2 more frames of the animation are not coloured"]


def test_a_job_colours_every_page_with_the_chosen_variant_into_one_file(gateway):
    job = gateway.client.post("/api/jobs?variants=2", content=album(), headers={"X-File-Name": "album.tif"}).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    assert (photo["pages"], photo["variants"], photo["notes"]) == (3, 2, [])
    where = f"/api/jobs/{job['id']}/photos"
    result = gateway.client.get(f"{where}/0/image?variant=1")
    assert (result.headers["content-type"], "x-tintype-notes" in result.headers) == ("image/tiff", False)
    with Colorizer(gateway.model_server.address) as colorizer:
        singly = [colorizer.variants(album(), 2, ColoringOptions(page=page))[1] for page in (1, 2, 3)]
    assert pages_of(result.content) == [decode_photo(page).rgb.tolist() for page in singly]
    gateway.client.patch(f"{where}/0", json={"variant": 1})
    with zipfile.ZipFile(io.BytesIO(gateway.client.get(f"{where}.zip").content)) as archive:
        assert archive.namelist() == ["album-coloured.tif"]
        assert pages_of(archive.read("album-coloured.tif")) == pages_of(result.content)


def test_previews_and_formats_of_one_page_show_the_first_or_the_one_asked_for(gateway):
    job = gateway.client.post("/api/jobs", content=album()).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    image = f"/api/jobs/{job['id']}/photos/0/image"
    assert decode_photo(gateway.client.get(f"{image}?side=20").content).rgb.shape == (15, 20, 3)
    png = gateway.client.get(f"{image}?format=png")
    assert decode_photo(png.content).rgb.shape == (30, 40, 3)
    assert png.headers["x-tintype-notes"] == ONE_OF_THREE.format("PNG")
    assert photo["notes_by_format"]["png"] == [ONE_OF_THREE.format("PNG")]
    last = gateway.client.get(f"{image}?format=png&page=3")
    assert (decode_photo(last.content).rgb.shape, "x-tintype-notes" in last.headers) == ((32, 40, 3), False)
    wrong = gateway.client.get(f"{image}?page=4")
    assert (wrong.status_code, "Expected a page of 1..3, received 4" in wrong.json()["detail"]) == (422, True)


def test_a_job_of_one_page_has_that_page_alone(gateway, jpeg):
    files = [("photo", ("album.tif", album())), ("photo", ("single.jpg", jpeg))]
    job = gateway.client.post("/api/jobs?page=2", files=files).json()
    two, single = gateway.job_when_done(job["id"])["photos"]
    assert (two["pages"], two["height"], two["notes"]) == (1, 31, [])
    assert "no page 2" in single["problem"]["detail"]
    image = gateway.client.get(f"/api/jobs/{job['id']}/photos/0/image")
    assert [np.shape(page) for page in pages_of(image.content)] == [(31, 40, 3)]
    assert gateway.client.get(f"/api/jobs/{job['id']}/photos/0/image?page=1").status_code == 422


def test_pages_with_too_many_pixels_together_are_refused_as_a_photo(start_gateway, jpeg):
    gateway = start_gateway(Limits(pixels=2 * 30 * 40))
    job = gateway.client.post("/api/jobs", content=album()).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    assert photo["problem"]["type"] == "/docs#problem-too-many-pixels"
    alone = gateway.client.post("/api/jobs?page=1", content=album()).json()
    assert gateway.job_when_done(alone["id"])["photos"][0]["state"] == "done"


def test_what_the_pages_take_is_given_back(start_gateway):
    gateway = start_gateway()
    job = gateway.client.post("/api/jobs", content=album()).json()
    held = []
    for _ in range(3):
        gateway.job_when_done(job["id"])
        [line] = [
            text
            for text in gateway.client.get("/metrics").text.splitlines()
            if text.startswith("tintype_web_held_bytes ")
        ]
        held.append(line)
        gateway.client.post(f"/api/jobs/{job['id']}/photos/0/hints", json=[])
    assert len(set(held)) == 1
    gateway.client.delete(f"/api/jobs/{job['id']}")
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text
