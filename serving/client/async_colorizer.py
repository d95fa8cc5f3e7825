"""`AsyncColorizer`: what `Colorizer` does, for asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc.aio
from numpy.typing import NDArray

from photo.errors import ClientClosed, TintypeError
from serving.client.flows import (
    DEFAULT_CONCURRENCY,
    ClientCore,
    Flow,
    ModelDescription,
    Outcome,
    OutputPaths,
    Pause,
    Send,
    Work,
    check_concurrency,
    output_paths_of,
)

T = TypeVar("T")


class AsyncColorizer(ClientCore):
    """A client like `Colorizer`, with the same arguments, whose calls are awaited.

    What takes the processor's time runs in asyncio's threads, so the event loop stays free. Cancelling a task ends its
    request. One client belongs to one event loop.

        async with AsyncColorizer("localhost:8500") as colorizer:
            colored = await colorizer.colorize(Path("grandmother.jpg"))
            async for outcome in colorizer.colorize_many(Path("album").glob("*.jpg"), concurrency=8):
                ...
    """

    _connection: "_Connection | None"

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self.close()

    async def close(self) -> None:
        """Close the connection and end the calls of other tasks; a later call opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def colorize(
        self,
        photo: Any,
        *,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
    ) -> Any:
        """Colour one photograph, as `Colorizer.colorize` does."""
        return await self._run(self._coloring(photo, strength, keep_tint, format, quality))

    async def variants(
        self,
        photo: Any,
        count: int,
        *,
        seed: int = 0,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
    ) -> list[Any]:
        """Colour one photograph in several plausible ways, as `Colorizer.variants` does."""
        return await self._run(self._varying(photo, count, seed, strength, keep_tint, format, quality))

    async def chroma(self, photo: Any, count: int | None = None, *, seed: int = 0) -> NDArray:
        """Find the colour of one photograph for `apply_chroma`, as `Colorizer.chroma` does."""
        return await self._run(self._finding_chroma(photo, count, seed))

    async def colorize_file(
        self,
        path: str | PathLike,
        output_path: str | PathLike,
        *,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
    ) -> Path:
        """Colour a file into another, as `Colorizer.colorize_file` does."""
        flow = self._coloring_file(path, output_paths_of(output_path), strength, keep_tint, format, quality, None)
        return (await self._run(flow))[0]

    def colorize_many(
        self,
        photos: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
    ) -> AsyncGenerator[Outcome, None]:
        """Colour many photographs at once, in their order, as `Colorizer.colorize_many` does.

        The photographs may also come from an asynchronous iterator.
        """
        flows = ((photo, self._coloring(photo, strength, keep_tint, format, quality)) async for photo in _each(photos))
        return self._run_many(flows, check_concurrency(concurrency))

    def colorize_files(
        self,
        files: Iterable[tuple[str | PathLike, OutputPaths]] | AsyncIterable[tuple[str | PathLike, OutputPaths]],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
        seed: int | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Colour many files into others, as `Colorizer.colorize_files` does."""
        flows = (
            (path, self._coloring_file(path, output_paths_of(output), strength, keep_tint, format, quality, seed))
            async for path, output in _each(files)
        )
        return self._run_many(flows, check_concurrency(concurrency))

    async def predict_ab(self, lightness: NDArray) -> NDArray:
        """Ask the model for the colour of a batch of lightness, as `Colorizer.predict_ab` does."""
        return (await self._run(self._predicting_ab(lightness, self.version_label)))[0]

    async def describe(self) -> ModelDescription:
        """Ask the model what it is."""
        return await self._run(self._describing(self.version_label))

    async def _run_many(
        self, flows: AsyncIterator[tuple[Any, Flow[Any]]], concurrency: int
    ) -> AsyncGenerator[Outcome, None]:
        connection = self._open()
        room = asyncio.Semaphore(concurrency)

        async def outcome(photo: Any, flow: Flow[Any]) -> Outcome:
            async with room:
                try:
                    return Outcome(photo, await self._drive(flow, connection))
                except TintypeError as error:
                    return Outcome(photo, error=error)

        waiting: deque[asyncio.Task[Outcome]] = deque()
        try:
            async for photo, flow in flows:
                waiting.append(asyncio.create_task(outcome(photo, flow)))
                while waiting and (waiting[0].done() or len(waiting) >= 2 * concurrency):
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _run(self, flow: Flow[T]) -> T:
        return await self._drive(flow, self._open())

    async def _drive(self, flow: Flow[T], connection: "_Connection") -> T:
        try:
            step = next(flow)
            while True:
                try:
                    outcome = await self._carry_out(step, connection)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    async def _carry_out(self, step: Send | Pause | Work, connection: "_Connection") -> Any:
        if isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        if isinstance(step, Pause):
            await connection.pause(step.seconds)
        elif not connection.ended.is_set():
            call = connection.send(step, self._metadata)
            try:
                return await call
            except asyncio.CancelledError:  # of this task, or of the call, by close()
                call.cancel()
                task = asyncio.current_task()
                if not connection.ended.is_set() or (task and task.cancelling()):
                    raise
        if connection.ended.is_set():
            raise ClientClosed(f"the client was closed while it asked {self.server}")
        return None

    def _open(self) -> "_Connection":
        if self._connection is None:
            self._connection = _Connection(self._new_channel(grpc.aio))
        return self._connection


class _Connection:
    """A channel, and whether it has been closed."""

    def __init__(self, channel: grpc.aio.Channel):
        self.ended = asyncio.Event()
        self._channel = channel

    def send(self, step: Send, metadata: tuple[tuple[str, str], ...]) -> Any:
        method = self._channel.unary_unary(
            step.method, request_serializer=type(step.request).SerializeToString, response_deserializer=step.parse
        )
        return method(step.request, timeout=step.timeout, metadata=metadata, wait_for_ready=True)

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)

    async def close(self) -> None:
        self.ended.set()
        await self._channel.close()


async def _each(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
