"""Colours photographs through the model server with bounded threads and memory, so that the event loop stays free."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from photo.apply_ab import apply_ab_to_pages
from photo.coloring_options import ColoringOptions
from photo.decoding import PhotoHeader, Rgb, decode_photo
from photo.encoding import EncodedColoring
from photo.errors import ServerUnavailable, SignatureMissing, TintypeError
from photo.formats import PhotoFormat
from photo.hints import Hint
from photo.pages import PagePlan, plan_pages
from photo.provenance import Provenance
from photo.reference_colors import reference_of
from photo.variants import visibly_different
from serving.client.async_colorizer import AsyncColorizer
from serving.client.options import ConnectionOptions, Retry
from serving.client.results import LikelyColor
from serving.malloc_settings import give_memory_back
from serving.model.description import ModelDescription
from serving.web.anonymous_file import AnonymousFile
from serving.web.memory_return import MemoryReturn
from serving.web.page_reading import notes_by_format, read_pages
from serving.web.problems import Kind, Problem, problem_from
from serving.web.settings import Limits
from serving.web.uploads import check_photo

# How long it is believed without asking again that the server is there, or away, and how long it may take to say so.
_SEEN_SECONDS, _AWAY_SECONDS = 5.0, 2.0
_ASKING_SECONDS = 2.0
_WATCH_SECONDS = 10.0

# A request that was cut off by a server's end finds another server, or the same one started anew, or fails within some
# seconds: the photos that wait are not to find out one after the other that there is none.
_RETRY = Retry(first_pause=0.2, max_attempts=5)

_PIXELS_NICENESS = 5

if TYPE_CHECKING:
    from serving.model.onnx_model import OnnxModel

T = TypeVar("T")


class FoundColors(NamedTuple):
    """What is known of a photograph whose colours were found; the a*b* themselves are in its file.

    Attributes:
        variants: how many colourings there are of every page.
        provenance: of the colours.
        in_color: whether it had colour already.
        notes: by the format of a result, what is to be said of it.
        width: of the first page, in pixels, turned upright.
        height: of the same.
    """

    variants: int
    provenance: Provenance
    in_color: bool
    notes: dict[PhotoFormat, tuple[str, ...]]
    width: int
    height: int


class BoundedColorizer:
    """A client of the model server, threads for the work on pixels, and a bound on what they hold.

    Belongs to one event loop, whose default executor becomes its threads: the client works in that one.

    Args:
        client: of the model server; it is closed with this.
        watcher: a client of the same server that gives up after a moment, for the question whether it is there.
        limits: threads, photographs at once, pixels.
        patience: seconds in which a server that is there may have no room.
        starting_seconds: in which a server that was started with the gateway may still load its model.
    """

    def __init__(
        self,
        client: AsyncColorizer,
        watcher: AsyncColorizer,
        limits: Limits,
        *,
        patience: float = 30.0,
        starting_seconds: float = 0.0,
    ):
        self._client = client
        self._watcher = watcher
        self._limits = limits
        self._patience = patience
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="pixels", initializer=_lower_priority)
        self._places = asyncio.Semaphore(limits.photos_at_once)
        # Two of the largest, or many small ones.
        self._pixels_left = 2 * limits.pixels
        self._pixels_returned = asyncio.Event()
        self._model: ModelDescription | None = None  # None: away
        self._known_until = 0.0
        self._starting_seconds = starting_seconds
        self._starting_until = 0.0
        self._asking = asyncio.Lock()
        self._memory_return = MemoryReturn(self._give_memory_back)
        self._returning: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take over the running event loop's executor."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(self._threads)
        self._starting_until = loop.time() + self._starting_seconds
        self._returning = asyncio.create_task(self._memory_return.run())

    async def close(self) -> None:
        """End the requests that run, and the threads once their work is done."""
        if self._returning is not None:
            self._returning.cancel()
        await self._client.close()
        await self._watcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def model(self, *, wait_for_start: bool = False) -> ModelDescription:
        """Return what the model says of itself, as of a moment ago.

        Args:
            wait_for_start: wait for a server that is starting.

        Raises:
            Problem: `server-away`.
        """
        loop = asyncio.get_running_loop()
        while True:
            async with self._asking:
                if loop.time() > self._known_until:
                    try:
                        self._note_model(await self._watcher.describe())
                    except TintypeError:  # also a server that is loading, or has another model
                        self._note_model(None)
            if self._model is not None:
                return self._model
            if not wait_for_start or loop.time() >= self._starting_until:
                raise Problem(Kind.SERVER_AWAY)
            await asyncio.sleep(max(self._known_until - loop.time(), 0.0))

    @property
    def model_is_available(self) -> bool:
        """Whether the model answered when it was last asked."""
        return self._model is not None

    async def watch(self) -> None:
        """Ask for the model now and then, so that `model_is_available` is not of long ago; until it is cancelled."""
        while True:
            with suppress(Problem):
                await self.model()
            await asyncio.sleep(_WATCH_SECONDS)

    async def check(self, file: AnonymousFile, page: int | None = None) -> PhotoHeader:
        """Return what the header of a photograph says, of a page from 1; raises Problem where it is none."""
        index = 0 if page is None else page - 1
        try:
            return await self._in_thread(lambda: check_photo(file.read_blocking(), self._limits.pixels, index))
        except Problem:
            raise
        except Exception as error:
            raise problem_from(error) from error

    async def colorize(
        self, file: AnonymousFile, options: ColoringOptions, *, variants: int, hints: tuple[Hint, ...] = ()
    ) -> tuple[list[EncodedColoring], PhotoFormat]:
        """Colour a photograph at its full size, all pages of one that becomes a TIFF; with hints it has no variants.

        Returns:
            The colourings, and their format.

        Raises:
            Problem: when it cannot be coloured.
        """
        header, plan = await self._planned(file, options, "" if variants == 1 else "each variant")
        async with self._turn(_pixels_of(header, plan)):
            count = None if variants == 1 else variants
            asking = partial(self._client.colorize_encoded, await file.read(), options, variants=count, hints=hints)
            colored = await self._while_server_is_there(asking)
        return colored, options.format or header.format.written_as

    async def find_colors(
        self,
        file: AnonymousFile,
        variants: int,
        options: ColoringOptions,
        begin: Callable[[PhotoHeader, PagePlan], None],
        *,
        hints: tuple[Hint, ...] = (),
    ) -> FoundColors:
        """Ask for the a*b* of a photograph's pages and keep them in its file: `variants` of each, those that can be
        told apart, or one where it has hints or the model gives no more.

        Args:
            file: the photograph.
            variants: how many are wanted.
            options: at which sides the model is asked, which page is wanted, whether a photograph in colour is taken.
            begin: called with what its header says, and the pages that are coloured, when it is the photograph's turn.
            hints: colours that it is to have.

        Raises:
            Problem: when it cannot be coloured.
        """
        header, plan = await self._planned(file, options)
        counts, provenance, notes, sizes = [], Provenance(), [], []
        async with self._turn(_pixels_of(header, plan)):
            await self.model(wait_for_start=True)  # many photos do not find out one after the other that it is away
            begin(header, plan)
            data = await file.read()
            file.forget_ab()
            reading = read_pages(data, plan, options, max_pixels=self._limits.pixels)
            for page in plan.pages:
                of_hints = plan.hints_of(page, hints)
                color, of_page = await self._in_thread(partial(next, reading))
                asking = partial(self._find_ab, color, variants, options, of_hints)
                ab, provenance = await self._while_server_is_there(asking)
                if len(plan.pages) == 1:  # a number names the same colouring of every page
                    ab = await self._in_thread(partial(visibly_different, ab, *color.shape[:2]))
                await file.write_ab(page, ab)
                counts.append(len(ab))
                notes.append(of_page)
                sizes.append(color.shape[:2])
        by_format = notes_by_format(notes, plan.notes(hints))
        is_in_color = any(one.in_color for one in notes)
        height, width = sizes[0]
        return FoundColors(min(counts), provenance, is_in_color, by_format, width, height)

    async def _while_server_is_there(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again where the server had no room, for as long as the client would; not where it is away."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await ask()
            except ServerUnavailable:
                if loop.time() >= deadline:
                    raise
                try:
                    await self._watcher.describe()
                except TintypeError as error:
                    raise ServerUnavailable(str(error)) from error

    async def _find_ab(
        self, color: Rgb, variants: int, options: ColoringOptions, hints: tuple[Hint, ...]
    ) -> tuple[NDArray[np.float32], Provenance]:
        if variants > 1 and not hints:
            with suppress(SignatureMissing):
                return await self._client.find_ab_with_provenance(color, variants, render=options.render)
        return await self._client.find_ab_with_provenance(color, hints=hints, render=options.render)

    async def _planned(
        self, file: AnonymousFile, options: ColoringOptions, one_alone: str = ""
    ) -> tuple[PhotoHeader, PagePlan]:
        def plan() -> PagePlan:
            pixels = self._limits.pixels
            return plan_pages(file.read_blocking(), options, one_alone=one_alone, max_pixels=pixels)

        header = await self.check(file, options.page)
        try:
            return header, await self._in_thread(plan)
        except Exception as error:
            raise problem_from(error) from error

    async def likely_colors(
        self, file: AnonymousFile, x: float, y: float, hints: tuple[Hint, ...], *, page: int = 0
    ) -> list[LikelyColor]:
        """Ask which colours a place of a photograph, or of a page of it (from 0), may have.

        Raises:
            Problem: when it cannot be used, or the model cannot say.
        """
        header = await self.check(file, page + 1)
        async with self._turn(header.width * header.height):
            data = await file.read()
            photo = await self._in_thread(partial(decode_photo, data, page=page, max_pixels=self._limits.pixels))
            of_page = PagePlan(range(page, page + 1), photo.pages).hints_of(page, hints)
            return await self._client.likely_colors(photo.color, x, y, hints=of_page)

    async def reference_colors(self, file: AnonymousFile) -> str:
        """Return the colours of a photograph for others to take.

        Raises:
            Problem: when it cannot be used, or is gray.
        """
        header = await self.check(file, 1)
        async with self._turn(header.width * header.height):
            data = await file.read()
            photo = await self._in_thread(partial(decode_photo, data, max_pixels=self._limits.pixels))
            try:
                reference = await self._in_thread(partial(reference_of, photo.rgb))
            except ValueError as error:
                raise Problem(Kind.WRONG_REQUEST, str(error)) from error
            return reference.text()

    async def apply_ab(
        self,
        file: AnonymousFile,
        variant: int,
        options: ColoringOptions,
        *,
        provenance: Provenance,
        pixels: int,
        longest_side: int | None = None,
    ) -> EncodedColoring:
        """Join a photograph, whose pages have so many pixels, with the colours kept for them.

        Raises:
            Problem: when that fails.
        """

        def join() -> EncodedColoring:
            return apply_ab_to_pages(
                file.read_blocking(),
                partial(file.read_ab_blocking, variant=variant),
                options,
                provenance=provenance,
                longest_side=longest_side,
                max_pixels=self._limits.pixels,
            )

        async with self._room_for(pixels):
            try:
                return await self._in_thread(join)
            except Problem:
                raise
            except Exception as error:
                raise problem_from(error) from error

    async def _in_thread(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function)
        finally:
            self._memory_return.note_work()

    async def _give_memory_back(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, give_memory_back)

    @asynccontextmanager
    async def _room_for(self, pixels: int) -> AsyncIterator[None]:
        """Hold room for so many pixels in memory."""
        while self._pixels_left < pixels:
            self._pixels_returned.clear()
            await self._pixels_returned.wait()
        self._pixels_left -= pixels
        try:
            yield
        finally:
            self._pixels_left += pixels
            self._pixels_returned.set()
            self._memory_return.note_work()

    @asynccontextmanager
    async def _turn(self, pixels: int) -> AsyncIterator[None]:
        """Hold a place and room for so many pixels while the server is asked, and note whether it was there."""
        async with self._places, self._room_for(pixels):
            try:
                yield
                self._note_model(self._model)
            except Problem:
                raise
            except ServerUnavailable as error:
                self._note_model(None)
                raise problem_from(error) from error
            except Exception as error:
                raise problem_from(error) from error

    def _note_model(self, model: ModelDescription | None) -> None:
        self._model = model
        known = _AWAY_SECONDS if model is None else _SEEN_SECONDS
        self._known_until = asyncio.get_running_loop().time() + known


def _pixels_of(header: PhotoHeader, plan: PagePlan) -> int:
    return header.pixels_of_pages if len(plan.pages) > 1 else header.width * header.height


def _lower_priority() -> None:
    """Let the event loop's thread go before this one; Linux has a priority for each thread."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may refuse it
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _PIXELS_NICENESS)


def connect(
    server: "str | OnnxModel",
    limits: Limits,
    connection: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    *,
    starting_seconds: float = 0.0,
) -> BoundedColorizer:
    """Return what colours by a model server.

    Args:
        server: HOST:PORT, or a model in this process, as `AsyncColorizer` takes it.
        limits: of the gateway.
        connection: to the server; its `max_pixels` are those of the limits.
        starting_seconds: as `BoundedColorizer`.

    Raises:
        ValueError, TintypeError: as `AsyncColorizer`.
    """
    connection = replace(connection, max_pixels=limits.pixels)
    watcher = AsyncColorizer(server, replace(connection, timeout=_ASKING_SECONDS))
    client = AsyncColorizer(server, replace(connection, retry=_RETRY))
    patience = connection.timeout
    return BoundedColorizer(client, watcher, limits, patience=patience, starting_seconds=starting_seconds)
