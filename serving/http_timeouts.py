"""HTTP/1.1 for uvicorn that does not wait for clients without end."""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class HttpProtocolWithTimeouts(H11Protocol):
    """HTTP/1.1 that gives up a client who does not end the head of its request, or does not read the answer.

    uvicorn has no option for either. What is used of its protocol beyond asyncio's own methods are the attributes
    `conn`, `loop` and `transport`.

    Attributes:
        patience: seconds for either.
    """

    patience: ClassVar[float] = 60.0

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the head of a request."""
        super().connection_made(transport)
        self._keep_head_timer(True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._keep_head_timer(False)
        self._keep_write_timer(False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait on while the head is not complete."""
        super().data_received(data)
        self._keep_head_timer(self.conn.their_state is h11.IDLE and not self.transport.is_closing())

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._keep_write_timer(True)

    def resume_writing(self) -> None:
        """Wait no more: it reads."""
        super().resume_writing()
        self._keep_write_timer(False)

    def _keep_head_timer(self, wanted: bool) -> None:
        self._head_timer = self._kept(self._head_timer, wanted)

    def _keep_write_timer(self, wanted: bool) -> None:
        self._write_timer = self._kept(self._write_timer, wanted)

    def _kept(self, timer: asyncio.TimerHandle | None, wanted: bool) -> asyncio.TimerHandle | None:
        if wanted:
            return timer or self.loop.call_later(self.patience, self.transport.abort)
        if timer is not None:
            timer.cancel()
        return None


def http_protocol_with_timeouts(patience: float) -> type[HttpProtocolWithTimeouts]:
    """Return the protocol, for `uvicorn.Config(http=...)`, that gives clients so many seconds."""
    return type("HttpProtocolWithTimeouts", (HttpProtocolWithTimeouts,), {"patience": patience})
