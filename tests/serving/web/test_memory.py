import tempfile
import threading
import time

import numpy as np
import pytest

from photo.encoding import encode_photo
from serving.web import bounded_colorizer as studio
from serving.web import nameless_file as photo_file


@pytest.fixture
def times_given_back(monkeypatch) -> list[float]:
    times: list[float] = []
    monkeypatch.setattr(studio, "give_memory_back", lambda: times.append(time.monotonic()))
    return times


def test_memory_is_given_back_once_when_no_photo_came_for_a_moment(gateway, jpeg, times_given_back, monkeypatch):
    monkeypatch.setattr(studio, "_IDLE_SECONDS", 0.3)
    assert not times_given_back
    gateway.client.post("/api/colorize", content=jpeg)
    ended = time.monotonic()
    time.sleep(1.5)
    assert len(times_given_back) == 1
    assert times_given_back[0] > ended + 0.1
    gateway.client.post("/api/colorize", content=jpeg)
    time.sleep(1.0)
    assert len(times_given_back) == 2


def test_memory_is_given_back_now_and_then_while_photos_keep_coming(gateway, jpeg, times_given_back, monkeypatch):
    monkeypatch.setattr(studio, "_IDLE_SECONDS", 0.3)
    monkeypatch.setattr(studio, "_BUSY_SECONDS", 0.6)
    is_over = threading.Event()

    def keep_asking() -> None:
        while not is_over.is_set():
            gateway.client.post("/api/colorize", content=jpeg)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        deadline = time.monotonic() + 20
        while len(times_given_back) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        is_over.set()
        asking.join()
    assert len(times_given_back) >= 2
    assert times_given_back[1] - times_given_back[0] > 0.5


def test_a_small_photo_of_one_request_stays_in_memory_others_go_to_disk(gateway, jpeg, monkeypatch):
    files = []

    def counted(**options):
        files.append(tempfile.TemporaryFile(**options))  # noqa: SIM115 - the gateway closes it
        return files[-1]

    monkeypatch.setattr(photo_file, "tempfile", type("Counted", (), {"TemporaryFile": staticmethod(counted)}))
    assert gateway.client.post("/api/colorize", content=jpeg).status_code == 200
    assert gateway.client.post("/api/colorize", files={"photo": ("a.jpg", jpeg)}).status_code == 200
    assert not files
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    assert len(large := encode_photo(noise, "PNG")) > 1 << 20
    assert gateway.client.post("/api/colorize", content=large).status_code == 200
    assert len(files) == 1
    job = gateway.client.post("/api/jobs", content=jpeg).json()["id"]
    assert len(files) == 2
    gateway.job_when_done(job)
    assert gateway.client.get(f"/api/jobs/{job}/photos/0/image").status_code == 200
    assert "tintype_web_held_bytes 0.0" not in gateway.client.get("/metrics").text
    gateway.client.delete(f"/api/jobs/{job}")
    assert all(file.closed for file in files)
