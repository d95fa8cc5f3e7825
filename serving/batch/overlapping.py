"""Lets a step wait for storage in threads while the photographs before and after it are worked on."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from serving.batch.elements import ElementOrOutcome


class Overlap:
    """What one bundle of a step has begun in threads, given out in the order in which it began.

    An element belongs to the window and the time of the one that it was made of, also where it is given out later.

    Args:
        ahead: calls that may be unfinished, or have a result that waits; one more waits for the first of them.
    """

    def __init__(self, ahead: int):
        self._ahead = ahead
        self._begun: deque[tuple[Future[ElementOrOutcome], BoundedWindow, Timestamp]] = deque()

    def begin(
        self,
        threads: ThreadPoolExecutor,
        call: Callable[[], ElementOrOutcome],
        window: BoundedWindow,
        timestamp: Timestamp,
    ) -> Iterator[Any]:
        """Begin a call; yield the elements of those that are done, and of the first where too many wait.

        Raises:
            Whatever a call raised.
        """
        while self._begun and (len(self._begun) >= self._ahead or self._begun[0][0].done()):
            yield self._first()
        self._begun.append((threads.submit(call), window, timestamp))

    def rest(self) -> Iterator[Any]:
        """Wait for all calls, and yield their elements."""
        while self._begun:
            yield self._first()

    def _first(self) -> Any:
        future, window, timestamp = self._begun.popleft()
        element = future.result()
        if isinstance(element, TaggedOutput):
            return TaggedOutput(element.tag, WindowedValue(element.value, timestamp, (window,)))
        return WindowedValue(element, timestamp, (window,))
