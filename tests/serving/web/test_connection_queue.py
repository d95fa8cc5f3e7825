"""The line before the gateway, with real sockets and an event loop whose turns are counted."""

import asyncio
import errno
import socket
import threading
import time
from contextlib import suppress

import httpx
import pytest

from serving.web import connection_queue as doorman_module
from serving.web.connection_queue import Doorman
from serving.web.server import listen
from serving.web.settings import Limits

_UPLOAD = b"POST /api/colorize HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + bytes(20_000)
_PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class _Visitors:
    """Notes who was let in, in order: the first byte that was read, and the turn of the loop."""

    def __init__(self) -> None:
        self.turn = 0
        self.let_in_at: list[int] = []
        self.heard: list[bytes] = []

    def new_protocol(self) -> asyncio.Protocol:
        visitors = self

        class Visitor(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                visitors.let_in_at.append(visitors.turn)

            def data_received(self, data: bytes) -> None:
                visitors.heard.append(data[:4])

        return Visitor()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self.turn += 1
                await asyncio.sleep(0)


@pytest.fixture
def listener():
    with listen("127.0.0.1", 0) as listener:
        yield listener


@pytest.fixture
def call(listener):
    """Connect, and say something."""
    callers = []

    def call(words: bytes) -> socket.socket:
        callers.append(socket.create_connection(listener.getsockname()))
        callers[-1].sendall(words)
        return callers[-1]

    yield call
    for caller in callers:
        caller.close()


def test_a_crowd_is_let_in_one_by_one_and_who_asks_for_health_first(listener, call):
    for _ in range(100):
        call(_UPLOAD)
    call(_PROBE)

    async def serve() -> _Visitors:
        visitors = _Visitors()
        doorman = Doorman(listener, visitors.new_protocol, patience=20)
        doorman.open()
        await visitors.wait_for(101)
        doorman.close()
        return visitors

    visitors = asyncio.run(serve())
    assert b"GET " in visitors.heard[:2]
    assert len(set(visitors.let_in_at)) == 101  # never two in one turn


def test_who_says_something_late_is_heard_and_who_says_nothing_is_sent_away(listener, call):
    silent, late = call(b""), call(b"")

    async def serve() -> None:
        visitors = _Visitors()
        doorman = Doorman(listener, visitors.new_protocol, patience=0.3)
        doorman.open()
        await asyncio.sleep(0.1)
        assert not visitors.let_in_at
        late.sendall(_PROBE)
        await visitors.wait_for(1)
        silent.settimeout(10)
        assert await asyncio.to_thread(silent.recv, 1) == b""
        await asyncio.sleep(0.3)
        late.sendall(_PROBE)  # the patience was for its beginning alone
        await visitors.wait_for(2)
        doorman.close()

    asyncio.run(serve())


def test_beyond_the_longest_line_connections_wait_outside(listener, call, monkeypatch):
    monkeypatch.setattr(doorman_module, "_LONGEST_LINE", 5)
    monkeypatch.setattr(doorman_module, "_ACCEPTED_AT_ONCE", 5)
    for _ in range(50):
        call(_UPLOAD)

    async def serve() -> None:
        visitors = _Visitors()
        doorman = Doorman(listener, visitors.new_protocol, patience=20)
        longest = 0

        def measure() -> None:
            nonlocal longest
            longest = max(longest, len(doorman._line))
            loop.call_soon(measure)

        loop = asyncio.get_running_loop()
        loop.call_soon(measure)
        doorman.open()
        await visitors.wait_for(50)
        assert 0 < longest < 10
        doorman.close()

    asyncio.run(serve())


def test_when_no_file_is_left_the_door_opens_again_later(listener, call, monkeypatch):
    monkeypatch.setattr(doorman_module, "_RETRY_SECONDS", 0.05)
    failures = [OSError(errno.EMFILE, "Too many open files")]

    class Listener(socket.socket):
        def accept(self):
            if failures:
                raise failures.pop()
            return super().accept()

    call(_PROBE)

    async def serve() -> None:
        visitors = _Visitors()
        with Listener(fileno=listener.detach()) as failing:
            doorman = Doorman(failing, visitors.new_protocol, patience=20)
            doorman.open()
            await visitors.wait_for(1)
            doorman.close()

    asyncio.run(serve())
    assert not failures


def test_a_closed_door_leaves_nobody_waiting(listener, call):
    address = listener.getsockname()
    callers = [call(b""), call(_UPLOAD), call(_UPLOAD)]

    async def serve() -> Doorman:
        doorman = Doorman(listener, _Visitors().new_protocol, patience=20)
        doorman.open()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        doorman.close()
        await asyncio.sleep(0.05)
        return doorman

    doorman = asyncio.run(serve())  # held, because sockets that nobody holds are closed anyway
    for caller in callers:
        caller.settimeout(10)
        with suppress(ConnectionResetError):
            assert caller.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    del doorman


def test_in_a_flood_of_uploads_health_is_answered_promptly_and_every_upload_is(start_gateway, jpeg):
    gateway = start_gateway(Limits(requests=8, requests_per_client=8))
    host, port = gateway.address.removeprefix("http://").split(":")
    head = (
        f"POST /api/colorize HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
    )
    is_over, seconds, statuses = threading.Event(), [], set()

    def ask_for_health() -> None:
        while not is_over.is_set():
            started = time.monotonic()
            answer = httpx.get(f"{gateway.address}/healthz")
            seconds.append(time.monotonic() - started)
            statuses.add((answer.status_code, answer.headers["x-content-type-options"]))

    async def upload() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + jpeg)
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1])

    async def flood() -> list[int]:
        return await asyncio.gather(*(upload() for _ in range(200)))

    asking = threading.Thread(target=ask_for_health)
    asking.start()
    uploads = asyncio.run(flood())
    is_over.set()
    asking.join()
    assert set(uploads) == {200, 429}
    assert statuses == {(200, "nosniff")}
    assert max(seconds) < 1  # tens of milliseconds, with much room for a busy machine
    assert gateway.client.post("/api/colorize", content=jpeg).status_code == 200
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text
