"""The door of a model server that is kept for a while: who uses it, and how long nobody did.

A kept server has a Unix socket beside the one on which it answers requests. Whoever uses it is connected there for as
long. So the server knows when nobody is left, and its users when it is gone, however either of them ended. The socket
is bound by whoever starts the server, before there is a process, so that there is never a time in which a second one
would be started; a process that ends, or dies, leaves one on which nobody listens.
"""

import contextlib
import json
import math
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LONGEST_WORD = 1 << 12  # bytes of what either side says
_LONGEST_KEPT = 7 * 86_400.0


class Door:
    """The server's side.

    Args:
        descriptor: of the socket, which listens.
        greeting: what everyone who comes is told, beside the number of this process.
    """

    def __init__(self, descriptor: int, greeting: dict[str, str]):
        self._listener = socket.socket(fileno=descriptor)
        self._listener.setblocking(False)
        self._greeting = json.dumps({**greeting, "pid": os.getpid()}).encode() + b"\n"
        self._visitors: dict[socket.socket, bytes] = {}  # and what each has said so far
        self._kept_for = 0.0

    def watch(self, when_idle: Callable[[], None]) -> None:
        """Let visitors in, in a thread, until none has been there for so long as the last one asked; then call."""
        threading.Thread(target=self._watch, args=(when_idle,), name="door", daemon=True).start()

    def close(self) -> None:
        """Let nobody else in; those who are in stay until this process ends."""
        self._listener.close()

    def _watch(self, when_idle: Callable[[], None]) -> None:
        # Whoever started the server comes in at once; if not, there is nobody to wait for.
        idle_since, patience = time.monotonic(), 60.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while True:
                left = idle_since + patience - time.monotonic()
                if not self._visitors and left <= 0:
                    self.close()
                    when_idle()
                    return
                for key, _ in selector.select(None if self._visitors else left):
                    if key.fileobj is self._listener:
                        if not self._let_in(selector):
                            return
                    elif not self._hear(key.fileobj):
                        selector.unregister(key.fileobj)
                        if self._let_out(key.fileobj):
                            idle_since, patience = time.monotonic(), self._kept_for

    def _let_in(self, selector: selectors.BaseSelector) -> bool:
        """Accept a visitor; returns whether the door is still open."""
        try:
            visitor, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return True
        except OSError:  # closed meanwhile
            return False
        visitor.setblocking(False)
        self._visitors[visitor] = b""
        selector.register(visitor, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # has left; the selector tells
            visitor.send(self._greeting)
        return True

    def _hear(self, visitor: Any) -> bool:
        """Take what a visitor says; returns whether it is still there."""
        try:
            said = visitor.recv(_LONGEST_WORD)
        except BlockingIOError:
            return True
        except OSError:
            said = b""
        if not said:
            return False
        self._visitors[visitor] = (self._visitors[visitor] + said)[-_LONGEST_WORD:]
        self._kept_for = _seconds(self._visitors[visitor])
        return True

    def _let_out(self, visitor: Any) -> bool:
        """Close the connection; returns whether the visitor used the server, and did not only look."""
        visitor.close()
        return bool(self._visitors.pop(visitor))


class Visit:
    """The side of whoever uses the server: it is in use until this is closed.

    Attributes:
        greeting: what the server has told, with its process as `pid`.
    """

    def __init__(self, connection: socket.socket, greeting: dict[str, Any]):
        self._connection = connection
        self.greeting = greeting

    def wait_for_end(self) -> None:
        """Return when the server is gone, or this is closed."""
        self._connection.settimeout(None)
        with contextlib.suppress(OSError):
            while self._connection.recv(_LONGEST_WORD):
                pass

    def close(self) -> None:
        """Leave."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # which also ends `wait_for_end`
        self._connection.close()


def open_door(path: Path) -> socket.socket:
    """Bind a socket that listens, for this user alone, in the place of one on which nobody does.

    Raises:
        OSError: there is no such folder, or it cannot be written.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def knock(path: Path) -> socket.socket | None:
    """Connect to the door of a server that runs, or will in a moment; None where there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def enter(connection: socket.socket, *, keep_for: float, patience: float) -> Visit | None:
    """Be in, and say for how long the server should stay afterwards; None where it ended before it let anyone in.

    Args:
        connection: what `knock` gave.
        keep_for: seconds.
        patience: seconds to wait until the server's process has come so far as to answer.

    Raises:
        TimeoutError: it has not.
    """
    connection.settimeout(patience)
    try:
        connection.sendall(f"{min(keep_for, _LONGEST_KEPT):.3f}\n".encode())
        said = b""
        while not said.endswith(b"\n"):
            more = connection.recv(_LONGEST_WORD)
            if not more or len(said) > _LONGEST_WORD:
                raise ConnectionError
            said += more
        return Visit(connection, json.loads(said))
    except TimeoutError:
        connection.close()
        raise
    except (OSError, ValueError):
        connection.close()
        return None


def _seconds(said: bytes) -> float:
    """The number in the last whole line; 0 where that is none."""
    try:
        seconds = float(said.split(b"\n")[-2])
    except (IndexError, ValueError):
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_KEPT) if math.isfinite(seconds) else 0.0
