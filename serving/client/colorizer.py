"""`Colorizer`: colours photographs by asking a TensorFlow Serving (or embedded) server over gRPC."""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from numpy.typing import NDArray

from photo.errors import ClientClosed, TintypeError
from serving.client.flows import (
    DEFAULT_CONCURRENCY,
    DEFAULT_MODEL_NAME,
    DEFAULT_SERVER,
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

__all__ = ["DEFAULT_MODEL_NAME", "DEFAULT_SERVER", "Colorizer", "ModelDescription", "Outcome"]

T = TypeVar("T")
C = TypeVar("C", bound=Any)


class Colorizer(ClientCore):
    """A client of a server that colours photographs.

    Nothing is sent before the first call; the connection is then kept. Safe to use from several threads.

        with Colorizer("localhost:8500") as colorizer:
            colorizer.colorize_file("grandmother.jpg", "grandmother-in-colour.jpg")

        Colorizer("colorizer.example.org:443", tls=Tls(), token="...", timeout=10)

        # A headless service of Kubernetes: every request goes to the next pod that is up.
        Colorizer("dns:///colorizer-headless:8500", canary_share=0.05)

    Args:
        server: HOST:PORT of the server's gRPC port; or several servers, asked in turn, those that are down passed
            over: all addresses of a name as dns:///HOST:PORT, or a list as ipv4:ADDRESS:PORT,ADDRESS:PORT; or
            unix:PATH of a socket.
        model_name: the name the server serves the model under.
        timeout: seconds for one request, the wait for a server that is only starting and all attempts included.
        model_version: ask this version; None asks the newest (or what `version_label` names).
        version_label: ask the version the server has given this label, e.g. "stable".
        canary_share: the share of the photographs, 0..1, that goes to the version labelled `canary_label`; the others
            go to `stable_label`. A photograph's pixels decide, so the same one always meets the same label.
        stable_label: label of the version in use.
        canary_label: label of the version on trial.
        retry: how to try again what was answered with UNAVAILABLE.
        keepalive: how to find out that the connection is dead; None leaves it to the operating system.
        tls: encrypt the connection; None speaks plain text.
        token: sent with every request as `authorization: Bearer TOKEN`; over a network only with `tls`.
        metadata: further headers to send with every request.
        compression: "gzip" compresses requests; None sends them as they are, which is right for a fast network.
        max_message_bytes: larger requests and answers are refused.
        max_pixels: larger photographs are refused.

    Raises:
        ValueError: for an argument that can never work.
        TintypeError: when a file of `tls` cannot be used.
    """

    _connection: "_Connection | None"

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection and end the calls that run in other threads; a later call opens a new one."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def colorize(
        self,
        photo: Any,
        *,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
    ) -> Any:
        """Colour one photograph at its full size; its lightness stays.

        Args:
            photo: a path or the bytes of a JPEG, PNG, WebP, TIFF or BMP file; a Pillow image; or an array [H, W],
                [H, W, 1] or [H, W, 3] of uint8, uint16 or floating point in 0..1.
            strength: factor on the chroma: 0 is gray, 1 the model's colour, more is more vivid.
            keep_tint: lay the tint of a toned or yellowed photograph (sepia, cyanotype) over the colour, light and
                shade their own; otherwise it is removed. A photograph in colour has none.
            format: for a path or bytes: "JPEG", "PNG", "WEBP", "TIFF" or "BMP"; None keeps the photograph's own.
            quality: 1..100, of JPEG and WebP.

        Returns:
            The same kind: for a path or bytes the bytes of a file, with the photograph's EXIF data and resolution, and
            an sRGB profile if it had a profile; for a Pillow image an RGB image; for an array [H, W, 3] of its dtype.

        Raises:
            PhotoError: when the photograph cannot be used.
            ServerUnavailable: when no server answers within `timeout`.
            ServerRefused: when the server answers with an error.
            ClientClosed: when another thread closes the client meanwhile.
            TypeError: for another kind of photograph.
        """
        return self._run(self._coloring(photo, strength, keep_tint, format, quality))

    def variants(
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
        """Colour one photograph in several plausible ways, with one request.

        Args:
            photo: as for `colorize`.
            count: how many, 1..64.
            seed: the first comes of this seed, each further one of the next; the same seed gives the same colours.
            strength: as for `colorize`.
            keep_tint: as for `colorize`.
            format: as for `colorize`.
            quality: as for `colorize`.

        Returns:
            `count` colourings, each of the photograph's kind, as `colorize` returns it.

        Raises:
            TintypeError: as `colorize`; ServerRefused also when the model gives one colouring only.
        """
        return self._run(self._varying(photo, count, seed, strength, keep_tint, format, quality))

    def chroma(self, photo: Any, count: int | None = None, *, seed: int = 0) -> NDArray:
        """Find the colour of one photograph, small, for `apply_chroma`: that one tries strengths without asking again.

        Args:
            photo: as for `colorize`.
            count: how many variants, 1..64; None asks for the one usual colouring.
            seed: as for `variants`.

        Returns:
            a*b* for the photograph's square in CIE units, float32 [N, S, S, 2]; N is 1 without a count.

        Raises:
            TintypeError: as `variants`.
        """
        return self._run(self._finding_chroma(photo, count, seed))

    def colorize_file(
        self,
        path: str | PathLike,
        output_path: str | PathLike,
        *,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
    ) -> Path:
        """Colour a file into another, which appears whole or not at all; EXIF data and resolution are kept.

        Args:
            path: the photograph.
            output_path: where to write; missing folders are made. An existing file is replaced.
            strength: as for `colorize`.
            keep_tint: as for `colorize`.
            format: "JPEG", "PNG", "WEBP", "TIFF" or "BMP"; None takes it from the suffix of `output_path`.
            quality: 1..100, of JPEG and WebP.

        Returns:
            `output_path`.

        Raises:
            TintypeError: as `colorize`; also when `output_path` is `path` itself or cannot be written.
        """
        return self._run(
            self._coloring_file(path, output_paths_of(output_path), strength, keep_tint, format, quality, None)
        )[0]

    def colorize_many(
        self,
        photos: Iterable[Any],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
    ) -> Generator[Outcome, None, None]:
        """Colour many photographs at once, and give them back in their order.

            for outcome in colorizer.colorize_many(Path("album").glob("*.jpg")):
                if outcome.error:
                    print(f"left out {outcome.photo}: {outcome.error}")
                else:
                    (out / outcome.photo.name).write_bytes(outcome.colored)

        Args:
            photos: photographs as `colorize` takes them. They are fetched as results are: at most twice
                `concurrency` are held, so a generator over a whole archive is fine.
            concurrency: how many are worked on at a time.
            strength: as for `colorize`.
            keep_tint: as for `colorize`.
            format: as for `colorize`.
            quality: as for `colorize`.

        Yields:
            One outcome per photograph: its colouring, or why there is none. The others go on.

        Leaving the loop, or closing the iterator, ends the requests that still run.
        """
        return self._run_many(
            ((photo, self._coloring(photo, strength, keep_tint, format, quality)) for photo in photos),
            check_concurrency(concurrency),
        )

    def colorize_files(
        self,
        files: Iterable[tuple[str | PathLike, OutputPaths]],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        strength: float = 1.0,
        keep_tint: bool = False,
        format: str | None = None,
        quality: int = 92,
        seed: int | None = None,
    ) -> Generator[Outcome, None, None]:
        """Colour many files into others: `colorize_file` at once, and otherwise as `colorize_many`.

        Args:
            files: pairs of a photograph's path and where its colouring goes; with a seed, a list of several places
                makes as many variants.
            concurrency: how many are worked on at a time.
            strength: as for `colorize_file`.
            keep_tint: as for `colorize`.
            format: as for `colorize_file`.
            quality: as for `colorize_file`.
            seed: as for `variants`; None asks for the one usual colouring.

        Yields:
            One outcome per file: the paths written, or why there are none.
        """
        flows = (
            (path, self._coloring_file(path, output_paths_of(output), strength, keep_tint, format, quality, seed))
            for path, output in files
        )
        return self._run_many(flows, check_concurrency(concurrency))

    def predict_ab(self, lightness: NDArray) -> NDArray:
        """Ask the model for the colour of a batch of lightness.

        Args:
            lightness: L*, float32 [N, S, S, 1], 0..100; sides divisible by the model's stride.

        Returns:
            a*b* in CIE units, float32 [N, S, S, 2].
        """
        return self._run(self._predicting_ab(lightness, self.version_label))[0]

    def describe(self) -> ModelDescription:
        """Ask the model what it is."""
        return self._run(self._describing(self.version_label))

    def _run(self, flow: Flow[T]) -> T:
        connection = self._open()
        return self._drive(flow, connection, connection.calls)

    def _run_many(self, flows: Iterable[tuple[Any, Flow[Any]]], concurrency: int) -> Generator[Outcome, None, None]:
        connection = self._open()
        with connection.calls.including(_Calls()) as calls, ThreadPoolExecutor(concurrency) as threads:
            waiting: deque[Future[Outcome]] = deque()
            try:
                for photo, flow in flows:
                    waiting.append(threads.submit(self._outcome, photo, flow, connection, calls))
                    while waiting and (waiting[0].done() or len(waiting) >= 2 * concurrency):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                calls.cancel()
                for future in waiting:
                    future.cancel()

    def _outcome(self, photo: Any, flow: Flow[Any], connection: "_Connection", calls: "_Calls") -> Outcome:
        try:
            return Outcome(photo, self._drive(flow, connection, calls))
        except TintypeError as error:
            return Outcome(photo, error=error)

    def _drive(self, flow: Flow[T], connection: "_Connection", calls: "_Calls") -> T:
        try:
            step = next(flow)
            while True:
                try:
                    outcome = self._carry_out(step, connection, calls)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    def _carry_out(self, step: Send | Pause | Work, connection: "_Connection", calls: "_Calls") -> Any:
        if isinstance(step, Work):
            return step.function()
        if isinstance(step, Pause):
            calls.ended.wait(step.seconds)
        elif not calls.ended.is_set():
            try:
                with calls.including(connection.send(step, self._metadata)) as call:
                    return call.result()
            except Exception:  # also a ValueError, of a channel that was closed in between
                if not calls.ended.is_set():
                    raise
        if calls.ended.is_set():
            raise ClientClosed(f"the client was closed while it asked {self.server}")
        return None

    def _open(self) -> "_Connection":
        with self._lock:
            if self._connection is None:
                self._connection = _Connection(self._new_channel(grpc))
            return self._connection


class _Calls:
    """What runs at the moment, so that another thread can end it."""

    def __init__(self):
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._running: set[Any] = set()

    @contextmanager
    def including(self, call: C) -> Iterator[C]:
        """Let `cancel` end this call, too, while the block runs; what is left of it when the block ends is ended."""
        with self._lock:
            self._running.add(call)
        try:
            if self.ended.is_set():
                call.cancel()
            yield call
        finally:
            with self._lock:
                self._running.discard(call)
            call.cancel()

    def cancel(self) -> None:
        self.ended.set()
        with self._lock:
            running = list(self._running)
        for call in running:
            call.cancel()


class _Connection:
    """A channel and the calls on it."""

    def __init__(self, channel: grpc.Channel):
        self.calls = _Calls()
        self._channel = channel

    def send(self, step: Send, metadata: tuple[tuple[str, str], ...]) -> Any:
        method = self._channel.unary_unary(
            step.method, request_serializer=type(step.request).SerializeToString, response_deserializer=step.parse
        )
        return method.future(step.request, timeout=step.timeout, metadata=metadata, wait_for_ready=True)

    def close(self) -> None:
        self.calls.cancel()
        self._channel.close()
