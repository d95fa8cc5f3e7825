"""Gives memory back that photographs have left: when there were none for a moment, and now and then while they come."""

import asyncio
from collections.abc import Awaitable, Callable

# What photographs that go on coming fill anew is little beside their work, if it is not too often.
_PAUSE_SECONDS, _MOST_BUSY_PAUSES = 1.0, 10


async def _pause() -> None:
    await asyncio.sleep(_PAUSE_SECONDS)


class MemoryReturn:
    """Calls `give_back` after work on photographs: after the first pause without any, or after many with.

    Args:
        give_back: may take tens of milliseconds; it is awaited.
        pause: waits for a moment.
        most_busy_pauses: after so many in which there was work, memory is given back all the same.
    """

    def __init__(
        self,
        give_back: Callable[[], Awaitable[None]],
        *,
        pause: Callable[[], Awaitable[None]] = _pause,
        most_busy_pauses: int = _MOST_BUSY_PAUSES,
    ):
        self._give_back = give_back
        self._pause = pause
        self._most_busy_pauses = most_busy_pauses
        self._worked = asyncio.Event()

    def note_work(self) -> None:
        """Note that there was work on a photograph."""
        self._worked.set()

    async def run(self) -> None:
        """Wait for work and give back after it, again and again, until it is cancelled."""
        while True:
            await self._worked.wait()
            for _ in range(self._most_busy_pauses):
                self._worked.clear()
                await self._pause()
                if not self._worked.is_set():
                    break
            await self._give_back()
