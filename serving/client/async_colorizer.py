"""`AsyncColorizer`: what `Colorizer` does, for asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import grpc.aio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.coloring_options import ColoringOptions
from photo.encoding import EncodedColoring
from photo.errors import ClientClosed, TintypeError, fault_of_photo
from photo.hints import Hint
from photo.input_kinds import EncodedPhoto, PhotoInput, PhotoOutput
from photo.provenance import Provenance
from serving.client.coloring_flows import DEFAULT_CONCURRENCY, ColoringFlows, OutputPaths, PhotoPath, check_concurrency
from serving.client.flow_steps import Flow, Pause, Send, Work
from serving.client.model_requests import ModelRequests
from serving.client.options import ConnectionOptions
from serving.client.results import ColoringResult, LikelyColor, WrittenFiles, of_files
from serving.client.server_address import DEFAULT_SERVER, address_of
from serving.model.description import ModelDescription

if TYPE_CHECKING:
    from serving.model.onnx_model import OnnxModel

T = TypeVar("T")
Given = TypeVar("Given")
GivenPhoto = TypeVar("GivenPhoto", bound=PhotoInput)
GivenPath = TypeVar("GivenPath", bound=PhotoPath)
Pixel = TypeVar("Pixel", bound=np.generic)


class AsyncColorizer:
    """A client like `Colorizer`, with the same arguments, whose calls are awaited.

    What takes the processor's time runs in asyncio's threads, so the event loop stays free. Cancelling a task ends its
    request. One client belongs to one event loop at a time; in another one it connects anew once the first has ended.

        async with AsyncColorizer("localhost:8500") as colorizer:
            colored = await colorizer.colorize(Path("grandmother.jpg"))
            async for result in colorizer.colorize_many(Path("album").glob("*.jpg"), concurrency=8):
                ...
    """

    def __init__(
        self,
        server: "str | OnnxModel" = DEFAULT_SERVER,
        connection: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    ):
        self._address = address_of(server, connection)
        self._flows = ColoringFlows(ModelRequests(self._address, connection), connection)
        self._connection: _Connection | None = None

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self.close()

    async def close(self) -> None:
        """Close the connection and end the calls of other tasks; a later call opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.loop.is_closed():
            await connection.close()

    @overload
    async def colorize(
        self, photo: EncodedPhoto, options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> bytes: ...
    @overload
    async def colorize(
        self, photo: Image.Image, options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> Image.Image: ...
    @overload
    async def colorize(
        self, photo: NDArray[Pixel], options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> NDArray[Pixel]: ...
    @overload
    async def colorize(
        self, photo: PhotoInput, options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> PhotoOutput: ...
    async def colorize(
        self,
        photo: PhotoInput,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        hints: Sequence[Hint] = (),
    ) -> PhotoOutput:
        """Colour one photograph, as `Colorizer.colorize` does."""
        return await self._run(self._flows.coloring(photo, options, hints))

    async def colorize_encoded(
        self,
        data: bytes,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        variants: int | None = None,
        seed: int = 0,
        hints: Sequence[Hint] = (),
    ) -> list[EncodedColoring]:
        """Colour a photograph's file and return what is to be said of it, as `Colorizer.colorize_encoded` does."""
        return await self._run(self._flows.coloring_encoded(data, variants, options, seed, hints))

    @overload
    async def variants(
        self, photo: EncodedPhoto, count: int, options: ColoringOptions = ..., *, seed: int = 0
    ) -> list[bytes]: ...
    @overload
    async def variants(
        self, photo: Image.Image, count: int, options: ColoringOptions = ..., *, seed: int = 0
    ) -> list[Image.Image]: ...
    @overload
    async def variants(
        self, photo: NDArray[Pixel], count: int, options: ColoringOptions = ..., *, seed: int = 0
    ) -> list[NDArray[Pixel]]: ...
    async def variants(
        self,
        photo: PhotoInput,
        count: int,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        seed: int = 0,
    ) -> Any:
        """Colour one photograph in several plausible ways, as `Colorizer.variants` does."""
        return await self._run(self._flows.varying(photo, count, options, seed))

    async def find_ab(
        self,
        photo: PhotoInput,
        count: int | None = None,
        *,
        seed: int = 0,
        hints: Sequence[Hint] = (),
        render: tuple[int, ...] | None = None,
    ) -> NDArray[np.float32]:
        """Find the colour of one photograph for `apply_ab`, as `Colorizer.find_ab` does."""
        return (await self.find_ab_with_provenance(photo, count, seed=seed, hints=hints, render=render))[0]

    async def find_ab_with_provenance(
        self,
        photo: PhotoInput,
        count: int | None = None,
        *,
        seed: int = 0,
        hints: Sequence[Hint] = (),
        render: tuple[int, ...] | None = None,
    ) -> tuple[NDArray[np.float32], Provenance]:
        """Find colour and say which model found it, as `Colorizer.find_ab_with_provenance` does."""
        return await self._run(self._flows.finding_ab(photo, count, ColoringOptions(render=render), seed, hints))

    async def likely_colors(
        self, photo: PhotoInput, x: float, y: float, *, hints: Sequence[Hint] = ()
    ) -> list[LikelyColor]:
        """Ask which colours a place of a photograph may have, as `Colorizer.likely_colors` does."""
        return await self._run(self._flows.finding_likely_colors(photo, x, y, hints))

    async def uncertainty(self, photo: PhotoInput, *, hints: Sequence[Hint] = ()) -> NDArray[np.float32]:
        """Ask where the model is not sure of the colour, as `Colorizer.uncertainty` does."""
        return await self._run(self._flows.finding_uncertainty(photo, hints))

    async def colorize_file(
        self,
        path: PhotoPath,
        output_path: PhotoPath,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        hints: Sequence[Hint] = (),
    ) -> Path:
        """Colour a file into another, as `Colorizer.colorize_file` does."""
        return (await self._run(self._flows.coloring_file(path, output_path, options, None, hints))).paths[0]

    def colorize_many(
        self,
        photos: Iterable[GivenPhoto] | AsyncIterable[GivenPhoto],
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> AsyncGenerator[ColoringResult[GivenPhoto, Any], None]:
        """Colour many photographs at once, in their order, as `Colorizer.colorize_many` does.

        The photographs may also come from an asynchronous iterator.
        """
        flows = ((photo, self._flows.coloring(photo, options, ())) async for photo in _each(photos))
        return self._run_many(flows, check_concurrency(concurrency))

    def colorize_files(
        self,
        files: Iterable[tuple[GivenPath, OutputPaths]] | AsyncIterable[tuple[GivenPath, OutputPaths]],
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        seed: int | None = None,
        hints: Mapping[GivenPath, Sequence[Hint]] | None = None,
    ) -> AsyncGenerator[ColoringResult[GivenPath, list[Path]], None]:
        """Colour many files into others, as `Colorizer.colorize_files` does."""
        given = hints or {}
        flows = (
            (path, self._flows.coloring_file(path, output, options, seed, given.get(path, ())))
            async for path, output in _each(files)
        )
        return self._written(self._run_many(flows, check_concurrency(concurrency)))

    async def predict_ab(
        self, lightness: NDArray[Any], hints: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Ask the model for the colour of a batch of lightness, as `Colorizer.predict_ab` does."""
        return await self._run(self._flows.predicting_ab(lightness, hints))

    async def describe(self) -> ModelDescription:
        """Ask the model what it is."""
        return (await self.describe_version())[0]

    async def describe_version(self) -> tuple[ModelDescription, int]:
        """Ask the model what it is, and which version of it answers."""
        return await self._run(self._flows.describing())

    async def _run_many(
        self, flows: AsyncIterator[tuple[Given, Flow[T]]], concurrency: int
    ) -> AsyncGenerator[ColoringResult[Given, T], None]:
        connection = self._open()
        room = asyncio.Semaphore(concurrency)

        async def result(photo: Given, flow: Flow[T]) -> ColoringResult[Given, T]:
            async with room:
                try:
                    return ColoringResult(photo, await self._drive(flow, connection))
                except Exception as error:
                    return ColoringResult(photo, error=fault_of_photo(error))

        waiting: deque[asyncio.Task[ColoringResult[Given, T]]] = deque()
        try:
            async for photo, flow in flows:
                waiting.append(asyncio.create_task(result(photo, flow)))
                while waiting and (waiting[0].done() or len(waiting) >= 2 * concurrency):
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    @staticmethod
    async def _written(
        results: AsyncGenerator[ColoringResult[Given, WrittenFiles], None],
    ) -> AsyncGenerator[ColoringResult[Given, list[Path]], None]:
        async with aclosing(results):
            async for result in results:
                yield of_files(result)

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
            result: T = end.value
            return result
        finally:
            flow.close()

    async def _carry_out(self, step: Send | Pause | Work, connection: "_Connection") -> Any:
        if isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        if isinstance(step, Pause):
            await connection.pause(step.seconds)
        elif not connection.ended.is_set():
            call = connection.send(step, self._address.headers)
            try:
                return await call
            except asyncio.CancelledError:  # of this task, or of the call, by close()
                call.cancel()
                task = asyncio.current_task()
                if not connection.ended.is_set() or (task and task.cancelling()):
                    raise
        if connection.ended.is_set():
            raise ClientClosed(f"the client was closed while it asked {self._address.server}")
        return None

    def _open(self) -> "_Connection":
        if self._connection is not None and self._connection.loop is not asyncio.get_running_loop():
            if not self._connection.loop.is_closed():
                raise TintypeError(
                    "this AsyncColorizer is connected in another event loop, which still runs; make one for each loop, "
                    "or close it there first"
                )
            self._connection = None  # it ended with its loop
        if self._connection is None:
            self._connection = _Connection(self._address.asynchronous_channel())
        return self._connection


class _Connection:
    """A channel, and whether it has been closed."""

    def __init__(self, channel: grpc.aio.Channel):
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self._channel = channel

    def send(self, step: Send, headers: Sequence[tuple[str, str]]) -> Any:
        method = self._channel.unary_unary(
            step.method, request_serializer=type(step.request).SerializeToString, response_deserializer=step.parse
        )
        return method(step.request, timeout=step.timeout, metadata=headers, wait_for_ready=True)

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
