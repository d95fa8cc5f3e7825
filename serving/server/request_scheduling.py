"""Which requests may run, which wait for their turn, and which are refused."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from serving.server.errors import RequestError


class RequestTurns:
    """Lets so many requests run at once, lets so many more wait for their turn, and refuses the rest.

    Args:
        running: requests worked on at once.
        waiting: requests that may wait; those beyond are refused with RESOURCE_EXHAUSTED.
    """

    def __init__(self, running: int, waiting: int):
        self.limit = running + waiting
        self._slots = threading.Semaphore(running)
        self._lock = threading.Lock()
        self._present = 0

    @contextmanager
    def turn(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Wait for a turn, as long as the request's client waits for the answer.

        Raises:
            RequestError: RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED or CANCELLED: the request must not be worked on.
        """
        with self._lock:
            if self._present >= self.limit:
                raise RequestError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, f"the server is busy: {self.limit} requests run or wait"
                )
            self._present += 1
        try:
            if not self._slots.acquire(timeout=time_left(context)):
                raise RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before it was its turn")
            try:
                if not context.is_active():
                    # Its client gave up while it waited: the model's time belongs to those who still wait.
                    raise RequestError(grpc.StatusCode.CANCELLED, "the client is gone")
                yield
            finally:
                self._slots.release()
        finally:
            with self._lock:
                self._present -= 1


def time_left(context: grpc.ServicerContext) -> float | None:
    """Return the seconds until a request's deadline; None where it has none."""
    left: float | None = context.time_remaining()
    # Without a deadline gRPC gives centuries, more than a lock can wait.
    return None if left is None or left > threading.TIMEOUT_MAX else max(0.0, left)
