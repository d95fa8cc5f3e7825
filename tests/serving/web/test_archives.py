"""A ZIP that is sent becomes its photographs, and a line for what is left out of it."""

import io
import zipfile

import pytest

from serving.web.settings import Limits


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def locked(archive: bytes, name: str) -> bytes:
    """The archive with the bit set that says a member needs a password, in its own header and in the directory."""
    changed = bytearray(archive)
    for signature, flags, length in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        place = archive.index(name.encode(), archive.index(signature)) - length
        while archive[place : place + 4] != signature:
            place = archive.index(name.encode(), place + length + 1) - length
        changed[place + flags] |= 1
    return bytes(changed)


def outcomes(job: dict) -> list[tuple[str, str, str]]:
    """Of each photograph its name, its state and, where it failed, why."""
    return [(photo["name"], photo["state"], (photo["problem"] or {"detail": ""})["detail"]) for photo in job["photos"]]


@pytest.mark.parametrize("as_form", [False, True], ids=["body", "form"])
def test_the_photographs_of_a_zip_come_as_if_sent_one_by_one(gateway, jpeg, as_form):
    album = zip_of({"trip/one.jpg": jpeg, "trip/two": jpeg, "__MACOSX/trip/._one.jpg": b"x"})
    sent = {"files": {"photo": ("album.zip", album)}} if as_form else {"content": album}
    job = gateway.client.post("/api/jobs", **sent).json()
    assert outcomes(gateway.job_when_done(job["id"])) == [("one.jpg", "done", ""), ("two", "done", "")]
    saved = gateway.client.get(f"/api/jobs/{job['id']}/photos.zip").content
    assert zipfile.ZipFile(io.BytesIO(saved)).namelist() == ["one-coloured.jpg", "two-coloured.jpg"]


def test_what_is_left_out_of_a_zip_is_one_line_each(gateway, jpeg):
    album = zip_of(
        {
            "good.jpg": jpeg,
            "inner.zip": zip_of({"a.jpg": jpeg}),
            "locked.jpg": jpeg,
            "broken.jpg": jpeg,
            "letter.txt": b"Dear all",
            "list.csv": b"1;2",
            "fake.jpg": b"no photograph",
            "empty.jpg": b"",
        }
    )
    place = album.index(jpeg, album.index(b"broken.jpg"))
    album = album[: place + 50] + b"!!!" + album[place + 53 :]
    job = gateway.client.post(
        "/api/jobs", content=locked(album, "locked.jpg"), headers={"X-File-Name": "album.zip"}
    ).json()
    found = {name: (state, why) for name, state, why in outcomes(gateway.job_when_done(job["id"]))}
    assert found.pop("good.jpg") == ("done", "")
    assert {state for state, _ in found.values()} == {"failed"}
    assert found["inner.zip"][1] == "An archive inside an archive is not opened; unpack it first."
    assert "Bad CRC-32" in found["broken.jpg"][1]
    assert "empty" in found["empty.jpg"][1]
    assert found["fake.jpg"][1].startswith("The file begins like none that is accepted.")
    lines = [why for name, _, why in outcomes(gateway.job_when_done(job["id"])) if name == "album.zip"]
    assert lines == [
        "A file in it needs a password; unpack it first.",
        "2 other files are no photographs: 1 .txt, 1 .csv.",
    ]


def test_a_zip_of_more_photographs_than_a_job_holds_becomes_several_jobs(start_gateway, jpeg):
    gateway = start_gateway(Limits(photos=2))
    job = gateway.client.post("/api/jobs", content=zip_of({f"{n}.jpg": jpeg for n in range(5)})).json()
    documents = [gateway.job_when_done(each) for each in [job["id"], *job["further_jobs"]]]
    assert [[name for name, *_ in outcomes(document)] for document in documents] == [
        ["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"], ["4.jpg"]
    ]  # fmt: skip
    further = "&".join(f"also={each}" for each in job["further_jobs"])
    saved = gateway.client.get(f"/api/jobs/{job['id']}/photos.zip?format=png&{further}").content
    assert zipfile.ZipFile(io.BytesIO(saved)).namelist() == [f"{n}-coloured.png" for n in range(5)]
    refused = gateway.client.post(f"/api/jobs/{job['id']}/photos", content=zip_of({"a.jpg": jpeg}))
    assert refused.json()["type"] == "/docs#problem-too-many-photos"


def test_limits_hold_for_what_a_zip_becomes_and_no_byte_stays(start_gateway, jpeg):
    size = len(jpeg) + 1000
    gateway = start_gateway(Limits(photos=4, photo_bytes=size, archive_photos=3))
    swollen = zip_of({"swollen.jpg": jpeg + bytes(1_000_000), "good.jpg": jpeg}, zipfile.ZIP_DEFLATED)
    job = gateway.client.post("/api/jobs", content=swollen).json()["id"]
    found = outcomes(gateway.job_when_done(job))
    assert [(name, state) for name, state, _ in found] == [("swollen.jpg", "failed"), ("good.jpg", "done")]
    assert found[0][2].startswith("At most 0.0")
    gateway.client.delete(f"/api/jobs/{job}")
    bomb = zip_of({f"{n}.jpg": bytes(size - 1) for n in range(5)}, zipfile.ZIP_DEFLATED)
    for album, kind in (
        (bomb, "too-many-photos"),
        (zip_of({"a.jpg": jpeg}) + bytes(4 * size), "photo-too-large"),
    ):
        answer = gateway.client.post("/api/jobs", content=album)
        assert answer.json()["type"] == f"/docs#problem-{kind}"
    narrow = start_gateway(Limits(photos=4, photo_bytes=size, archive_photos=9))
    assert narrow.client.post("/api/jobs", content=bomb).json()["type"] == "/docs#problem-photo-too-large"
    for each in (gateway, narrow):
        assert "tintype_web_held_bytes 0.0" in each.client.get("/metrics").text


@pytest.mark.parametrize(
    ("album", "words"),
    [
        (zip_of({}), "There is no photograph in it."),
        (zip_of({"a.jpg": b"1"})[:-30], "damaged or cannot be read"),
        (b"PK\x03\x04" + bytes(100), "damaged or cannot be read"),
        (zip_of({f"{n:060}": b"" for n in range(45_000)}), "bytes of it would be read at once"),
    ],
    ids=["empty", "truncated", "beginning", "large directory"],
)
def test_a_zip_that_cannot_be_opened_is_one_line(gateway, album, words):
    answer = gateway.client.post("/api/jobs", content=album, headers={"X-File-Name": "album.zip"})
    [(name, state, why)] = outcomes(answer.json())
    assert (name, state) == ("album.zip", "failed")
    assert words in why


def test_one_photo_at_once_is_no_zip(gateway, jpeg):
    answer = gateway.client.post("/api/colorize", content=zip_of({"a.jpg": jpeg}))
    assert answer.status_code == 415


def test_photos_added_to_a_job_may_keep_their_own_colours(gateway):
    from skimage import data

    from photo.encoding import encode_photo

    in_color = encode_photo(data.chelsea()[::4, ::4].copy(), "PNG")
    job = gateway.client.post("/api/jobs?color_photos=skip", content=in_color).json()["id"]
    for choice in ("recolor", "skip"):
        gateway.client.post(f"/api/jobs/{job}/photos?color_photos={choice}", content=in_color)
    photos = gateway.job_when_done(job)["photos"]
    assert [(photo["color_photos"], photo["state"]) for photo in photos] == [
        ("skip", "failed"), ("recolor", "done"), ("skip", "failed")
    ]  # fmt: skip
