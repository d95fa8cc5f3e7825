"""HTTP/1.1 for uvicorn that does not wait for clients without end."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that gives up a client who does not end the head of its request, or does not read the answer.

    Args:
        patience: seconds for either.
    """

    def __init__(self, *args: Any, patience: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._patience = patience
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
            return timer or self.loop.call_later(self._patience, self.transport.abort)
        if timer is not None:
            timer.cancel()
        return None
