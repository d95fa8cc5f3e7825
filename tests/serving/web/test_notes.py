"""The API says what became of colours that were there, and what a result does not hold."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from photo.decoding import decode_photo
from photo.encoding import encode_photo

REPLACED = "it had colour already, which was replaced"
WHITE = "not in the result: its transparency, which became white: {} has none"
EIGHT_BITS = "not in the result: its 16 bits a channel, which became 8: {} has no more"


@pytest.fixture(scope="module")
def in_color() -> bytes:
    """A picture of four colours."""
    rgb = np.full((40, 60, 3), (200, 40, 40), np.uint8)
    rgb[:20, :30], rgb[20:, :30], rgb[:20, 30:] = (40, 160, 60), (40, 60, 190), (220, 200, 60)
    return encode_photo(rgb, "PNG")


@pytest.fixture(scope="module")
def transparent() -> bytes:
    """A gray picture of 16 bits with holes."""
    shades = np.repeat(np.linspace(0, 65535, 60).astype(np.uint16)[None], 40, axis=0)
    alpha = np.full((40, 60), 65535, np.uint16)
    alpha[5:10, 5:10] = 0
    return encode_photo(np.dstack([shades] * 3), "TIFF", alpha=alpha)


def test_colours_that_were_replaced_are_said(gateway, in_color, jpeg):
    assert gateway.client.post("/api/colorize", content=in_color).headers["x-tintype-notes"] == REPLACED
    assert "x-tintype-notes" not in gateway.client.post("/api/colorize", content=jpeg).headers
    variants = gateway.client.post("/api/colorize?variants=2", content=in_color)
    assert (variants.headers["content-type"], variants.headers["x-tintype-notes"]) == ("application/zip", REPLACED)
    job = gateway.client.post("/api/jobs", files=[("photo", ("a.png", in_color)), ("photo", ("b.jpg", jpeg))]).json()
    first, second = gateway.job_when_done(job["id"])["photos"]
    assert (first["state"], first["in_color"], first["color_photos"]) == ("done", True, "recolor")
    assert (first["notes"], second["in_color"], second["notes"]) == ([REPLACED], False, [])


def test_a_job_leaves_photos_in_colour_as_they_are_if_asked_to(gateway, in_color, jpeg):
    files = [("photo", ("a.png", in_color)), ("photo", ("b.jpg", jpeg))]
    job = gateway.client.post("/api/jobs?color_photos=skip", files=files).json()
    kept, colored = gateway.job_when_done(job["id"])["photos"]
    assert (kept["state"], kept["in_color"], colored["state"]) == ("failed", True, "done")
    assert kept["problem"]["type"] == "/docs#problem-in-colour"
    with zipfile.ZipFile(io.BytesIO(gateway.client.get(f"/api/jobs/{job['id']}/photos.zip").content)) as archive:
        assert archive.namelist() == ["b-coloured.jpg", "left-out.txt"]
        assert b"a.png: It has colour already" in archive.read("left-out.txt")
    assert gateway.client.post("/api/jobs?color_photos=perhaps", content=jpeg).status_code == 422


def test_a_photo_in_colour_is_kept_and_coloured_again_without_a_new_upload(gateway, in_color):
    job = gateway.client.post("/api/jobs", content=in_color).json()
    gateway.job_when_done(job["id"])
    where = f"/api/jobs/{job['id']}/photos/0"
    before = decode_photo(gateway.client.get(f"{where}/image").content).rgb
    answer = gateway.client.post(f"{where}/color-photos?color_photos=skip")
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    [kept] = gateway.job_when_done(job["id"])["photos"]
    assert (kept["state"], kept["in_color"], kept["color_photos"]) == ("failed", True, "skip")
    assert gateway.client.get(f"{where}/image").json()["type"] == "/docs#problem-in-colour"
    gateway.client.post(f"{where}/color-photos?color_photos=recolor")
    assert gateway.job_when_done(job["id"])["photos"][0]["state"] == "done"
    np.testing.assert_array_equal(decode_photo(gateway.client.get(f"{where}/image").content).rgb, before)


def test_what_a_format_cannot_hold_is_said_before_and_with_the_result(gateway, transparent):
    direct = gateway.client.post("/api/colorize?format=jpeg", content=transparent)
    expected = [WHITE.format("JPEG"), EIGHT_BITS.format("JPEG")]
    assert direct.headers["x-tintype-notes"] == "; ".join(expected)
    assert "x-tintype-notes" not in gateway.client.post("/api/colorize", content=transparent).headers
    job = gateway.client.post("/api/jobs", content=transparent).json()
    [photo] = gateway.job_when_done(job["id"])["photos"]
    assert photo["notes"] == []
    assert photo["notes_by_format"] == {"jpeg": expected, "png": [], "webp": [EIGHT_BITS.format("WEBP")], "tiff": []}
    for format, notes in photo["notes_by_format"].items():
        image = gateway.client.get(f"/api/jobs/{job['id']}/photos/0/image?format={format}")
        assert image.headers.get("x-tintype-notes", "") == "; ".join(notes)


def test_a_note_with_any_letters_is_a_header_all_the_same(gateway, gray, monkeypatch):
    import photo.decoding

    spoken = ("größer 照片\r\nSet-Cookie: a=b", *(f"note {number} " + 300 * "x" for number in range(40)))
    original = photo.decoding.read_picture
    monkeypatch.setattr(photo.decoding, "read_picture", lambda *given: original(*given).noting(*spoken))
    answer = gateway.client.post("/api/colorize", content=encode_photo(gray, "PNG"))
    notes = answer.headers["x-tintype-notes"]
    assert (answer.status_code, notes[:32]) == (200, "gr??er ????Set-Cookie: a=b; note"[:32])
    assert notes.endswith("; and 31 more")
    assert "set-cookie" not in answer.headers
    assert len(notes) < 4096


def test_metadata_that_cannot_be_kept_are_named(gateway, gray):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("XML:com.adobe.xmp", "<nonsense")
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "PNG", pnginfo=texts)
    answer = gateway.client.post("/api/colorize", content=file.getvalue())
    assert "XMP" in answer.headers["x-tintype-notes"]
