"""The queue before the gateway, with real sockets and an event loop whose turns are counted."""

import asyncio
import errno
import socket
from contextlib import suppress

import pytest

from serving.listening_socket import listening_socket
from serving.web.connection_queue import ConnectionQueue
from serving.web.settings import Limits

_UPLOAD = b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + bytes(20_000)
_PROBE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


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
    with listening_socket("127.0.0.1", 0, "the page") as listener:
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
        queue = ConnectionQueue(listener, visitors.new_protocol, patience=20)
        queue.open()
        await visitors.wait_for(101)
        queue.close()
        return visitors

    visitors = asyncio.run(serve())
    assert b"GET " in visitors.heard[:2]
    assert len(set(visitors.let_in_at)) == 101  # never two in one turn


def test_who_says_something_late_is_heard_and_who_says_nothing_is_sent_away(listener, call):
    silent, late = call(b""), call(b"")

    async def serve() -> None:
        visitors = _Visitors()
        queue = ConnectionQueue(listener, visitors.new_protocol, patience=0.3)
        queue.open()
        await asyncio.sleep(0.1)
        assert not visitors.let_in_at
        late.sendall(_PROBE)
        await visitors.wait_for(1)
        silent.settimeout(10)
        assert await asyncio.to_thread(silent.recv, 1) == b""
        await asyncio.sleep(0.3)
        late.sendall(_PROBE)  # the patience was for its beginning alone
        await visitors.wait_for(2)
        queue.close()

    asyncio.run(serve())


def test_beyond_the_longest_queue_connections_wait_outside(listener, call):
    for _ in range(50):
        call(_UPLOAD)

    async def serve() -> None:
        visitors = _Visitors()
        queue = ConnectionQueue(listener, visitors.new_protocol, patience=20, longest=5, accepted_at_once=5)
        longest = 0

        def measure() -> None:
            nonlocal longest
            longest = max(longest, len(queue))
            loop.call_soon(measure)

        loop = asyncio.get_running_loop()
        loop.call_soon(measure)
        queue.open()
        await visitors.wait_for(50)
        assert 0 < longest < 10
        queue.close()

    asyncio.run(serve())


def test_when_no_file_is_left_connections_are_accepted_again_later(listener, call):
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
            queue = ConnectionQueue(failing, visitors.new_protocol, patience=20, retry_seconds=0.05)
            queue.open()
            await visitors.wait_for(1)
            queue.close()

    asyncio.run(serve())
    assert not failures


def test_a_closed_queue_leaves_nobody_waiting(listener, call):
    address = listener.getsockname()
    callers = [call(b""), call(_UPLOAD), call(_UPLOAD)]

    async def serve() -> ConnectionQueue:
        queue = ConnectionQueue(listener, _Visitors().new_protocol, patience=20)
        queue.open()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        queue.close()
        await asyncio.sleep(0.05)
        return queue

    queue = asyncio.run(serve())  # held, because sockets that nobody holds are closed anyway
    for caller in callers:
        caller.settimeout(10)
        with suppress(ConnectionResetError):
            assert caller.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    del queue


def test_in_a_flood_of_uploads_health_is_answered_before_most_and_every_upload_is(start_gateway, jpeg):
    gateway = start_gateway(Limits(requests=8, requests_per_client=8))
    host, port = gateway.address.removeprefix("http://").split(":")
    lines = ("POST /api/colorize HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(jpeg)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    count, answered = 200, 0
    overtaken_by: list[int] = []  # uploads that were answered while one probe waited

    async def ask(words: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(words)
        answer = await reader.read()
        writer.close()
        return answer

    async def upload() -> int:
        nonlocal answered
        answer = await ask(head + jpeg)
        answered += 1
        return int(answer.split(b" ", 2)[1])

    async def ask_for_health() -> None:
        while answered < count:
            before = answered
            answer = await ask(_PROBE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            overtaken_by.append(answered - before)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"nosniff" in answer

    async def flood() -> list[int]:
        uploads = [asyncio.create_task(upload()) for _ in range(count)]
        await ask_for_health()
        return await asyncio.gather(*uploads)

    assert set(asyncio.run(flood())) == {200, 429}
    assert max(overtaken_by) < count / 2
    assert gateway.client.post("/api/colorize", content=jpeg).status_code == 200
    assert "tintype_web_held_bytes 0.0" in gateway.client.get("/metrics").text
