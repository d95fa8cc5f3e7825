"""A TIFF of several pages comes back with all of them; what is not coloured is said with a count."""

import io

import numpy as np
import tifffile
from PIL import Image

from photo.decoding import decode_photo


def album() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        for number in range(3):
            out.write(np.full((30 + number, 40), 50 + 60 * number, np.uint8), metadata=None)
    return file.getvalue()


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
    assert one.headers["x-tintype-notes"] == "2 more pages are not coloured, as a PNG is of one page"
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "lime", "blue")]
    moving = gateway.client.post(
        "/api/colorize", content=encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    )
    assert moving.headers["x-tintype-notes"] == "2 more pictures of the file are not coloured"
    job = gateway.client.post("/api/jobs", content=album()).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    assert photo["notes"] == ["2 more pages are not coloured, as a job is of one page"]
