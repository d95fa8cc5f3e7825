"""`Colorizer`: colours photographs by asking a TensorFlow Serving (or embedded) server over gRPC."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

import grpc
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photo.coloring_options import ColoringOptions
from photo.encoding import EncodedColoring
from photo.errors import ClientClosed, fault_of_photo
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
    from serving.video.coloring import VideoResult
    from serving.video.options import TimedHint, VideoOptions

T = TypeVar("T")
Given = TypeVar("Given")
GivenPhoto = TypeVar("GivenPhoto", bound=PhotoInput)
GivenPath = TypeVar("GivenPath", bound=PhotoPath)
Pixel = TypeVar("Pixel", bound=np.generic)


class Colorizer:
    """A client of a server that colours photographs, or of a model in this process.

    Nothing is sent before the first call; the connection is then kept. Safe to use from several threads.

        with Colorizer("localhost:8500") as colorizer:
            colorizer.colorize_file("grandmother.jpg", "grandmother-in-colour.jpg")

        Colorizer("colorizer.example.org:443", ConnectionOptions(tls=Tls(), token="...", timeout=10))

        # A headless service of Kubernetes: every request goes to the next pod that is up.
        Colorizer("dns:///colorizer-headless:8500", ConnectionOptions(canary_share=0.05))

        # No server: the generator that comes with Tintype, in this process (pip install '.[onnx]').
        Colorizer(OnnxModel())

    Args:
        server: HOST:PORT of the server's gRPC port; or several servers, asked in turn, those that are down passed
            over: all addresses of a name as dns:///HOST:PORT, or a list as ipv4:ADDRESS:PORT,ADDRESS:PORT; or
            unix:PATH of a socket. Or a model in this process, which onnxruntime asks; of the connection `model_name`,
            `max_pixels` and nothing else count then.
        connection: which model to ask, and how.

    Raises:
        ValueError: for an address that can never work, or that a token would reach in plain text.
        TintypeError: when a file of `connection.tls` cannot be used.
    """

    def __init__(
        self,
        server: "str | OnnxModel" = DEFAULT_SERVER,
        connection: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    ):
        self._address = address_of(server, connection)
        self._flows = ColoringFlows(ModelRequests(self._address, connection), connection)
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

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

    @overload
    def colorize(
        self, photo: EncodedPhoto, options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> bytes: ...
    @overload
    def colorize(
        self, photo: Image.Image, options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> Image.Image: ...
    @overload
    def colorize(
        self, photo: NDArray[Pixel], options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> NDArray[Pixel]: ...
    @overload
    def colorize(
        self, photo: PhotoInput, options: ColoringOptions = ..., *, hints: Sequence[Hint] = ...
    ) -> PhotoOutput: ...
    def colorize(
        self,
        photo: PhotoInput,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        hints: Sequence[Hint] = (),
    ) -> PhotoOutput:
        """Colour one photograph at its full size; its lightness stays.

            colorizer.colorize("grandmother.jpg", hints=[Hint(0.42, 0.31, "#4a6b3c")])

        Args:
            photo: a path or the bytes of a file of any kind of `PhotoFormat`; a Pillow image; or an array [H, W],
                [H, W, 1] or [H, W, 3] of uint8, uint16 or floating point in 0..1.
            options: how; format and quality matter for a path or bytes only.
            hints: colours that it is to have at places of it; the model spreads them over what belongs together.

        Returns:
            The same kind: for a path or bytes the bytes of a file, with the photograph's metadata, resolution and
            transparency, an sRGB profile if it had a profile, and the word that a machine made the colours; for a
            Pillow image an RGB image, with the same in `info`; for an array [H, W, 3] of its dtype.

        Raises:
            PhotoError: when the photograph cannot be used.
            ServerUnavailable: when no server answers within the timeout.
            ServerRefused: when the server answers with an error; SignatureMissing, one of them, when hints are given
                and the model takes none.
            ClientClosed: when another thread closes the client meanwhile.
            TypeError: for another kind of photograph.
        """
        return self._run(self._flows.coloring(photo, options, hints))

    def colorize_encoded(
        self,
        data: bytes,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        variants: int | None = None,
        seed: int = 0,
        hints: Sequence[Hint] = (),
    ) -> list[EncodedColoring]:
        """Colour a photograph's file as `colorize` does, and return also what is to be said of the result.

        Args:
            data: the file's bytes.
            options: how.
            variants: how many colourings, 1..64, each of one page; None is the one usual, of all pages.
            seed: as for `variants`.
            hints: as for `colorize`; not together with variants.

        Returns:
            The bytes of each result, and in words how the file was read, what is not coloured, which colours were
            replaced, and what the result does not hold.

        Raises:
            TintypeError: as `variants`.
        """
        return self._run(self._flows.coloring_encoded(data, variants, options, seed, hints))

    @overload
    def variants(
        self, photo: EncodedPhoto, count: int, options: ColoringOptions = ..., *, seed: int = 0
    ) -> list[bytes]: ...
    @overload
    def variants(
        self, photo: Image.Image, count: int, options: ColoringOptions = ..., *, seed: int = 0
    ) -> list[Image.Image]: ...
    @overload
    def variants(
        self, photo: NDArray[Pixel], count: int, options: ColoringOptions = ..., *, seed: int = 0
    ) -> list[NDArray[Pixel]]: ...
    def variants(
        self,
        photo: PhotoInput,
        count: int,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        seed: int = 0,
    ) -> Any:
        """Colour one photograph in several plausible ways, with one request.

        Args:
            photo: as for `colorize`.
            count: how many, 1..64.
            options: as for `colorize`.
            seed: the first comes of this seed, each further one of the next; the same seed gives the same colours.

        Returns:
            `count` colourings, each of the photograph's kind, as `colorize` returns it.

        Raises:
            TintypeError: as `colorize`; SignatureMissing when the model gives one colouring only.
        """
        return self._run(self._flows.varying(photo, count, options, seed))

    def find_ab(
        self,
        photo: PhotoInput,
        count: int | None = None,
        *,
        seed: int = 0,
        hints: Sequence[Hint] = (),
        render: tuple[int, ...] | None = None,
    ) -> NDArray[np.float32]:
        """Find the colour of one photograph, small, for `apply_ab`: that one tries strengths without asking again.

        Args:
            photo: as for `colorize`.
            count: how many variants, 1..64; None asks for the one usual colouring.
            seed: as for `variants`.
            hints: as for `colorize`; not together with a count.
            render: as in `ColoringOptions`.

        Returns:
            a*b* for the photograph's square in CIE units, float32 [N, S, S, 2]; N is 1 without a count. S is the
            model's side, or the largest of `render`.

        Raises:
            TintypeError: as `variants`.
        """
        return self.find_ab_with_provenance(photo, count, seed=seed, hints=hints, render=render)[0]

    def find_ab_with_provenance(
        self,
        photo: PhotoInput,
        count: int | None = None,
        *,
        seed: int = 0,
        hints: Sequence[Hint] = (),
        render: tuple[int, ...] | None = None,
    ) -> tuple[NDArray[np.float32], Provenance]:
        """Find colour as `find_ab`; return also which model found it, so that `apply_ab` can say so in its result."""
        return self._run(self._flows.finding_ab(photo, count, ColoringOptions(render=render), seed, hints))

    def likely_colors(self, photo: PhotoInput, x: float, y: float, *, hints: Sequence[Hint] = ()) -> list[LikelyColor]:
        """Ask which colours a place of a photograph may have, for a hint to be chosen from them.

            for color, share in colorizer.likely_colors("grandmother.jpg", 0.42, 0.31):
                print(f"{color} {share:.0%}")

        Args:
            photo: as for `colorize`.
            x: of the place, as in `Hint`.
            y: of the place, as in `Hint`.
            hints: that are set already.

        Returns:
            Eight colours with their shares, the likeliest first.

        Raises:
            TintypeError: as `colorize`; SignatureMissing when the model takes no hints.
            ValueError: for a place outside the photograph.
        """
        return self._run(self._flows.finding_likely_colors(photo, x, y, hints))

    def uncertainty(self, photo: PhotoInput, *, hints: Sequence[Hint] = ()) -> NDArray[np.float32]:
        """Ask where the model is not sure of the colour.

        Args:
            photo: as for `colorize`.
            hints: that are set already.

        Returns:
            The spread of the model's distribution of a*b* (square root of its total variance), CIE units, float32
            [H, W] at the photograph's size.

        Raises:
            TintypeError: as `likely_colors`.
        """
        return self._run(self._flows.finding_uncertainty(photo, hints))

    def colorize_file(
        self,
        path: PhotoPath,
        output_path: PhotoPath,
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        hints: Sequence[Hint] = (),
    ) -> Path:
        """Colour a file into another, which appears whole or not at all; what the photograph's says is kept.

        Args:
            path: the photograph.
            output_path: where to write; missing folders are made. An existing file is replaced.
            options: how; without a format it is that of the suffix of `output_path`.
            hints: as for `colorize`.

        Returns:
            `output_path`.

        Raises:
            TintypeError: as `colorize`; also when `output_path` is `path` itself or cannot be written.
        """
        return self._run(self._flows.coloring_file(path, output_path, options, None, hints)).paths[0]

    def colorize_many(
        self,
        photos: Iterable[GivenPhoto],
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> Generator[ColoringResult[GivenPhoto, Any], None, None]:
        """Colour many photographs at once, and give them back in their order.

            for result in colorizer.colorize_many(Path("album").glob("*.jpg")):
                if result.error:
                    print(f"left out {result.photo}: {result.error}")
                else:
                    (out / result.photo.name).write_bytes(result.colored)

        Args:
            photos: photographs as `colorize` takes them. They are fetched as results are: at most twice
                `concurrency` are held, so a generator over a whole archive is fine.
            options: as for `colorize`.
            concurrency: how many are worked on at a time.

        Yields:
            One result per photograph: its colouring, or why there is none, whatever it was. The others go on.

        Leaving the loop, or closing the iterator, ends the requests that still run.
        """
        flows = ((photo, self._flows.coloring(photo, options, ())) for photo in photos)
        return self._run_many(flows, check_concurrency(concurrency))

    def colorize_files(
        self,
        files: Iterable[tuple[GivenPath, OutputPaths]],
        options: ColoringOptions = ColoringOptions(),  # noqa: B008 - frozen
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        seed: int | None = None,
        hints: Mapping[GivenPath, Sequence[Hint]] | None = None,
    ) -> Generator[ColoringResult[GivenPath, list[Path]], None, None]:
        """Colour many files into others: `colorize_file` at once, and otherwise as `colorize_many`.

        Args:
            files: pairs of a photograph's path and where its colouring goes; with a seed, a list of several places
                makes as many variants.
            options: as for `colorize_file`.
            concurrency: how many are worked on at a time.
            seed: as for `variants`; None asks for the one usual colouring.
            hints: of photographs that have some, by the path given; not together with a seed.

        Yields:
            One result per file: the paths written, or why there are none.
        """
        given = hints or {}
        flows = (
            (path, self._flows.coloring_file(path, output, options, seed, given.get(path, ())))
            for path, output in files
        )
        return self._written(self._run_many(flows, check_concurrency(concurrency)))

    def colorize_video(
        self,
        path: PhotoPath,
        output_path: PhotoPath,
        options: "VideoOptions | None" = None,
        *,
        hints: "Sequence[TimedHint]" = (),
        progress: Callable[[int, int], None] = lambda done, expected: None,
    ) -> "VideoResult":
        """Colour a film into another file, steadily along its motion; sound, subtitles and chapters go with it.

            colorizer.colorize_video("in.mov", "out.mp4", VideoOptions(every=2))

        Args:
            path: the film, of any kind that FFmpeg reads.
            output_path: an .mp4, .m4v, .mov or .mkv file. A run that was killed goes on when it is called again.
            options: a `serving.video.options.VideoOptions`.
            hints: colours that places are to have from a time on.
            progress: called with the frames done and expected (0 where nobody knows), from another thread.

        Returns:
            How many frames and shots it has, and what is to be said of it.

        Raises:
            TintypeError: as `colorize`; VideoError, one of them, when the film cannot be used.
            ModuleNotFoundError: PyAV is missing: pip install '.[video]' brings it.
        """
        from serving.video.coloring import color_video
        from serving.video.options import VideoOptions

        return color_video(
            self, Path(path), Path(output_path), options or VideoOptions(), hints=hints, progress=progress
        )

    def predict_ab(self, lightness: NDArray[Any], hints: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Ask the model for the colour of a batch of lightness.

        Args:
            lightness: L*, float32 [N, S, S, 1], 0..100; sides divisible by the model's stride.
            hints: float32 [N, S, S, 3], as `photo.coloring.hint_map` draws them.

        Returns:
            a*b* in CIE units, float32 [N, S, S, 2].
        """
        return self._run(self._flows.predicting_ab(lightness, hints))

    def describe(self) -> ModelDescription:
        """Ask the model what it is."""
        return self.describe_version()[0]

    def describe_version(self) -> tuple[ModelDescription, int]:
        """Ask the model what it is, and which version of it answers."""
        return self._run(self._flows.describing())

    def _run(self, flow: Flow[T]) -> T:
        connection = self._open()
        return self._drive(flow, connection, connection.calls)

    def _run_many(
        self, flows: Iterable[tuple[Given, Flow[T]]], concurrency: int
    ) -> Generator[ColoringResult[Given, T], None, None]:
        connection = self._open()
        with connection.calls.including(_Calls()) as calls, ThreadPoolExecutor(concurrency) as threads:
            waiting: deque[Future[ColoringResult[Given, T]]] = deque()
            try:
                for photo, flow in flows:
                    waiting.append(threads.submit(self._result, photo, flow, connection, calls))
                    while waiting and (waiting[0].done() or len(waiting) >= 2 * concurrency):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                calls.cancel()
                for future in waiting:
                    future.cancel()

    @staticmethod
    def _written(
        results: Generator[ColoringResult[Given, WrittenFiles], None, None],
    ) -> Generator[ColoringResult[Given, list[Path]], None, None]:
        with closing(results):
            for result in results:
                yield of_files(result)

    def _result(
        self, photo: Given, flow: Flow[T], connection: "_Connection", calls: "_Calls"
    ) -> ColoringResult[Given, T]:
        try:
            return ColoringResult(photo, self._drive(flow, connection, calls))
        except Exception as error:
            return ColoringResult(photo, error=fault_of_photo(error))

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
            result: T = end.value
            return result
        finally:
            flow.close()

    def _carry_out(self, step: Send | Pause | Work, connection: "_Connection", calls: "_Calls") -> Any:
        if isinstance(step, Work):
            return step.function()
        if isinstance(step, Pause):
            calls.ended.wait(step.seconds)
        elif not calls.ended.is_set():
            try:
                with calls.including(connection.send(step, self._address.headers)) as call:
                    return call.result()
            except Exception:  # also a ValueError, of a channel that was closed in between
                if not calls.ended.is_set():
                    raise
        if calls.ended.is_set():
            raise ClientClosed(f"the client was closed while it asked {self._address.server}")
        return None

    def _open(self) -> "_Connection":
        with self._lock:
            if self._connection is None:
                self._connection = _Connection(self._address.channel())
            return self._connection


class _Cancellable(Protocol):
    def cancel(self) -> object: ...


C = TypeVar("C", bound=_Cancellable)


class _Calls:
    """What runs at the moment, so that another thread can end it."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._running: set[_Cancellable] = set()

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

    def send(self, step: Send, headers: Sequence[tuple[str, str]]) -> Any:
        method = self._channel.unary_unary(
            step.method, request_serializer=type(step.request).SerializeToString, response_deserializer=step.parse
        )
        return method.future(step.request, timeout=step.timeout, metadata=headers, wait_for_ready=True)

    def close(self) -> None:
        self.calls.cancel()
        self._channel.close()
