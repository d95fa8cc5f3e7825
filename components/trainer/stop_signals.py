"""SIGTERM and Ctrl-C, heeded at the next good moment instead of at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class StopSignals:
    """Notes that the process was asked to end while the `with` block runs; a second Ctrl-C ends it at once.

    In another thread than the main one signals cannot be caught: they keep their meaning.

    Attributes:
        received: the name of the first signal, or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> "StopSignals":
        """Begin to listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals their former meaning back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
