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
# Turns of the event loop for each connection. Its work is a dozen callbacks; the more of them meet in one turn, the
# longer it takes, and an answer takes half a dozen turns.
_TURNS = 4
_LONGEST_LINE = 4096  # beyond, the operating system lets clients wait or refuses them
_RETRY_SECONDS = 1.0


class Doorman:
    """Accepts connections for the event loop and hands them over one by one, every few turns of the loop.

    asyncio itself accepts and reads in one turn all that is there. A thousand uploads that come at once take its time
    for half a second then, even if each is refused. Here they wait unread in a line; who asks for the gateway's health
    by the first bytes goes to its head, and finds a loop whose turns are short.

    Args:
        listener: a listening socket; closed with the doorman.
        new_protocol: makes what serves a connection.
        patience: seconds in which the first byte must come.
    """

    def __init__(self, listener: socket.socket, new_protocol: Callable[[], asyncio.Protocol], patience: float):
        self._listener = listener
        self._new_protocol = new_protocol
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._silent: dict[socket.socket, asyncio.TimerHandle] = {}
        self._line: deque[socket.socket] = deque()
        self._entering: set[asyncio.Task[None]] = set()
        self._is_accepting = False

    def open(self) -> None:
        """Begin to accept."""
        self._listener.setblocking(False)
        self._accept_on()

    def close(self) -> None:
        """Accept no more, and send away who waits."""
        self._accept_no_more()
        self._listener.close()
        for connection in list(self._silent):
            self._send_away(connection)
        while self._line:
            self._line.pop().close()

    def _accept_on(self) -> None:
        if self._listener.fileno() >= 0 and not self._is_accepting:
            self._is_accepting = True
            self._loop.add_reader(self._listener, self._accept)

    def _accept_no_more(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except (
                OSError
            ) as error:  # no file or memory left for one more: it stays ready, and would keep the loop busy
                log.error("a connection could not be accepted: %s", error.strerror)
                self._accept_no_more()
                self._loop.call_later(_RETRY_SECONDS, self._accept_on)
                return
            connection.setblocking(False)
            self._look(connection)

    def _look(self, connection: socket.socket) -> None:
        try:
            beginning = connection.recv(_LONGEST_AHEAD, socket.MSG_PEEK)
        except BlockingIOError:
            if connection not in self._silent:
                self._silent[connection] = self._loop.call_later(self._patience, self._send_away, connection)
                self._loop.add_reader(connection, self._look, connection)
            return
        except OSError:
            beginning = b""
        self._heard(connection)
        if not beginning:  # it has gone
            connection.close()
            return
        if not self._line:
            self._loop.call_soon(self._let_in)
        if beginning.startswith(_AHEAD):
            self._line.appendleft(connection)
        else:
            self._line.append(connection)
        if len(self._line) >= _LONGEST_LINE:
            self._accept_no_more()

    def _heard(self, connection: socket.socket) -> None:
        timer = self._silent.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self._loop.remove_reader(connection)

    def _send_away(self, connection: socket.socket) -> None:
        self._heard(connection)
        connection.close()

    def _let_in(self, turns_left: int = 0) -> None:
        if not self._line:
            return
        if turns_left:
            self._loop.call_soon(self._let_in, turns_left - 1)
            return
        task = self._loop.create_task(self._enter(self._line.popleft()))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)
        if self._line:
            self._loop.call_soon(self._let_in, _TURNS - 1)
        if len(self._line) < _LONGEST_LINE:
            self._accept_on()

    async def _enter(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._new_protocol, connection)
        except OSError:  # it has gone
            connection.close()
