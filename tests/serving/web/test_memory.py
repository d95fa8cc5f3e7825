import asyncio
import tempfile
import threading
from collections.abc import Awaitable, Callable

import numpy as np

from photo.encoding import encode_photo
from serving.web import anonymous_file, bounded_colorizer
from serving.web.memory_return import MemoryReturn


class _Pauses:
    """Pauses that end one by one, when the test says so, and what was given back meanwhile."""

    def __init__(self, most_busy_pauses: int = 10):
        self.given_back = 0
        self.begun = 0
        self._ends = asyncio.Semaphore(0)
        self.memory = MemoryReturn(self._give_back, pause=self._pause, most_busy_pauses=most_busy_pauses)

    async def _give_back(self) -> None:
        self.given_back += 1

    async def _pause(self) -> None:
        self.begun += 1
        await self._ends.acquire()

    async def end_one(self) -> None:
        self._ends.release()
        await _many_turns()


async def _many_turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def _run(script: Callable[[_Pauses], Awaitable[None]], **options: int) -> None:
    async def run() -> None:
        pauses = _Pauses(**options)
        running = asyncio.create_task(pauses.memory.run())
        await script(pauses)
        running.cancel()

    asyncio.run(run())


def test_memory_is_given_back_once_when_no_photo_came_for_a_moment():
    async def script(pauses: _Pauses) -> None:
        await _many_turns()
        assert pauses.begun == 0  # without work there is nothing to wait for
        for rounds in (1, 2):
            pauses.memory.note_work()
            await _many_turns()
            pauses.memory.note_work()  # of the same photo: it was not over
            await pauses.end_one()
            assert (pauses.begun, pauses.given_back) == (2 * rounds, rounds - 1)
            await pauses.end_one()
            assert (pauses.begun, pauses.given_back) == (2 * rounds, rounds)

    _run(script)


def test_memory_is_given_back_now_and_then_while_photos_keep_coming():
    async def script(pauses: _Pauses) -> None:
        pauses.memory.note_work()
        for ended in range(9):
            await _many_turns()
            assert pauses.given_back == ended // 3
            pauses.memory.note_work()
            await pauses.end_one()
        assert pauses.given_back == 3

    _run(script, most_busy_pauses=3)


def test_the_gateway_gives_memory_back_after_a_photo(start_gateway, jpeg, monkeypatch):
    gateway, is_given_back = start_gateway(), threading.Event()
    monkeypatch.setattr(bounded_colorizer, "give_memory_back", is_given_back.set)
    gateway.client.post("/api/colorize", content=jpeg)
    assert is_given_back.wait(60)


def test_a_small_photo_of_one_request_stays_in_memory_others_go_to_disk(gateway, jpeg, monkeypatch):
    files = []

    def counted(**options):
        files.append(tempfile.TemporaryFile(**options))  # noqa: SIM115 - the gateway closes it
        return files[-1]

    monkeypatch.setattr(anonymous_file, "tempfile", type("Counted", (), {"TemporaryFile": staticmethod(counted)}))
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
