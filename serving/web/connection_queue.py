"""Lets connections in one after the other, so that a crowd of them does not keep the event loop from everybody else."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

# Who looks after the gateway goes before who uses it. Both answers are short and carry no photograph.
_AHEAD = (b"GET /healthz ", b"GET /readyz ")
_LONGEST_AHEAD = max(map(len, _AHEAD))

# Accepting and a first look take some 0.02 ms, a request takes 1 ms and more.
_ACCEPTED_AT_ONCE = 256
_LONGEST_QUEUE = 4096  # beyond, the operating system lets clients wait or refuses them
_RETRY_SECONDS = 1.0
# Turns of the event loop for each connection. Its work is a dozen callbacks; the more of them meet in one turn, the
# longer it takes, and an answer takes half a dozen turns.
_TURNS = 4


class ConnectionQueue:
    """Accepts connections for the event loop and hands them over one by one, every few turns of the loop.

    asyncio itself accepts and reads in one turn all that is there. A thousand uploads that come at once take its time
    for half a second then, even if each is refused. Here they wait unread in a queue; who asks for the gateway's health
    by the first bytes goes to its head, and finds a loop whose turns are short.

    Args:
        listener: a listening socket; closed with the queue.
        new_protocol: makes what serves a connection.
        patience: seconds in which the first byte must come.
        longest: connections that wait; further ones are not accepted before.
        accepted_at_once: connections in one turn of the loop.
        retry_seconds: without accepting, after the system had no file or memory left for a connection.
    """

    def __init__(
        self,
        listener: socket.socket,
        new_protocol: Callable[[], asyncio.Protocol],
        patience: float,
        *,
        longest: int = _LONGEST_QUEUE,
        accepted_at_once: int = _ACCEPTED_AT_ONCE,
        retry_seconds: float = _RETRY_SECONDS,
    ):
        self._listener = listener
        self._new_protocol = new_protocol
        self._patience = patience
        self._longest = longest
        self._accepted_at_once = accepted_at_once
        self._retry_seconds = retry_seconds
        self._loop = asyncio.get_running_loop()
        self._silent: dict[socket.socket, asyncio.TimerHandle] = {}
        self._queue: deque[socket.socket] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._is_accepting = False

    def __len__(self) -> int:
        """Return how many connections that have said something wait."""
        return len(self._queue)

    def open(self) -> None:
        """Begin to accept."""
        self._listener.setblocking(False)
        self._start_accepting()

    def close(self) -> None:
        """Accept no more, and send away who waits."""
        self._stop_accepting()
        self._listener.close()
        for connection in list(self._silent):
            self._drop(connection)
        while self._queue:
            self._queue.pop().close()

    def _start_accepting(self) -> None:
        if self._listener.fileno() >= 0 and not self._is_accepting:
            self._is_accepting = True
            self._loop.add_reader(self._listener, self._accept)

    def _stop_accepting(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(self._accepted_at_once):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No file or memory is left for one more: it stays ready, and would keep the loop busy.
                log.error("a connection could not be accepted: %s", error.strerror)
                self._stop_accepting()
                self._loop.call_later(self._retry_seconds, self._start_accepting)
                return
            connection.setblocking(False)
            self._peek(connection)

    def _peek(self, connection: socket.socket) -> None:
        try:
            beginning = connection.recv(_LONGEST_AHEAD, socket.MSG_PEEK)
        except BlockingIOError:
            if connection not in self._silent:
                self._silent[connection] = self._loop.call_later(self._patience, self._drop, connection)
                self._loop.add_reader(connection, self._peek, connection)
            return
        except OSError:
            beginning = b""
        self._stop_waiting(connection)
        if not beginning:  # it has gone
            connection.close()
            return
        if not self._queue:
            self._loop.call_soon(self._serve_next)
        if beginning.startswith(_AHEAD):
            self._queue.appendleft(connection)
        else:
            self._queue.append(connection)
        if len(self._queue) >= self._longest:
            self._stop_accepting()

    def _stop_waiting(self, connection: socket.socket) -> None:
        timer = self._silent.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self._loop.remove_reader(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._stop_waiting(connection)
        connection.close()

    def _serve_next(self, turns_left: int = 0) -> None:
        if not self._queue:
            return
        if turns_left:
            self._loop.call_soon(self._serve_next, turns_left - 1)
            return
        task = self._loop.create_task(self._start_serving(self._queue.popleft()))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        if self._queue:
            self._loop.call_soon(self._serve_next, _TURNS - 1)
        if len(self._queue) < self._longest:
            self._start_accepting()

    async def _start_serving(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._new_protocol, connection)
        except OSError:  # it has gone
            connection.close()
