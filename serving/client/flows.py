"""What `Colorizer` and `AsyncColorizer` share: all that is not input and output.

Each call of a client is a flow here: a generator that yields what is to be done (a request to send, a pause to make, a
piece of work for the processor) and gets the outcome back, or the exception thrown in. A client only carries the steps
out, one blocking, the other awaiting.
"""

import hashlib
import json
import math
import re
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray

from photo.any_kind import open_photo, read_photo
from photo.coloring import Prepared, finish, prepare
from photo.decoding import decode_photo
from photo.encoding import encode_photo
from photo.errors import ServerRefused, ServerUnavailable, TintypeError
from photo.formats import FORMAT_OF_SUFFIX
from photo.limits import MAX_PIXELS
from photo.whole_file import write_whole
from serving.client import wire
from serving.client.options import Keepalive, Retry, Tls
from serving.model import signatures
from serving.model.description import ModelDescription

DEFAULT_SERVER = "localhost:8500"
DEFAULT_MODEL_NAME = "colorizer"
DEFAULT_CONCURRENCY = 4

# More colourings of one photograph than anybody looks at; they come in one answer.
MAX_VARIANTS = 64
# What gRPC itself says, in place of UNAVAILABLE, of a call that reaches a server in the moment it stops.
_CUT_OFF = "CANCELLED"

# Of several servers, in the midst of a rollout, another one may describe itself than the one that answered.
_DESCRIBING_ATTEMPTS = 3

_HOST = r"(\[[0-9a-fA-F:.%]+\]|[^\s:/,]+):\d{1,5}"
_SERVER = re.compile(rf"unix:.+|(dns:(//[^/\s]*)?/)?{_HOST}|ipv[46]:{_HOST}(,{_HOST})*")

# Addresses that stand for several servers: every request goes to the next one that is up.
_BALANCED = ("dns:", "ipv4:", "ipv6:")
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

# Milliseconds between two attempts to connect. By gRPC's own figures a server that was away for long would be found
# two minutes after its return.
_RECONNECTING = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 2000)]

T = TypeVar("T")

OutputPaths = str | PathLike | Sequence[str | PathLike]
"""Where the colouring of a file goes; with a seed, where each of its variants goes."""


@dataclass(frozen=True)
class Send:
    """A request to send; its outcome is the response.

    Attributes:
        method: full name of the gRPC method.
        request: the message.
        parse: makes the response of its bytes.
        timeout: seconds until the answer must be there.
    """

    method: str
    request: Any
    parse: Callable[[bytes], Any]
    timeout: float


@dataclass(frozen=True)
class Pause:
    """Seconds to wait."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Work for the processor or a disk; its outcome is what the function returns."""

    function: Callable[[], Any]


Flow = Generator[Send | Pause | Work, Any, T]


@dataclass(frozen=True)
class Outcome:
    """What became of one of many photographs.

    Attributes:
        photo: the photograph, as it was given.
        colored: its colouring (of `colorize_files`: the paths written); None if it failed.
        error: why it failed; None if it did not.
    """

    photo: Any
    colored: Any = None
    error: TintypeError | None = None


class ClientCore:
    """Settings, requests, and the checking of answers; see `Colorizer` for the arguments."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        model_name: str = DEFAULT_MODEL_NAME,
        timeout: float = 30.0,
        model_version: int | None = None,
        version_label: str | None = None,
        canary_share: float = 0.0,
        stable_label: str = "stable",
        canary_label: str = "canary",
        retry: Retry = Retry(),  # noqa: B008 - frozen
        keepalive: Keepalive | None = Keepalive(),  # noqa: B008 - frozen
        tls: Tls | None = None,
        token: str | None = None,
        metadata: Mapping[str, str] | None = None,
        compression: str | None = None,
        max_message_bytes: int = 1 << 28,
        max_pixels: int = MAX_PIXELS,
    ):
        if not _SERVER.fullmatch(server):
            raise ValueError(f"expected the server as HOST:PORT, such as {DEFAULT_SERVER}, received {server!r}")
        if not (timeout > 0 and math.isfinite(timeout)):
            raise ValueError(f"expected a timeout of more than 0 seconds, received {timeout}")
        if model_version is not None and version_label is not None:
            raise ValueError("expected model_version or version_label, received both")
        if not 0 <= canary_share <= 1:
            raise ValueError(f"expected a canary_share of 0..1, received {canary_share}")
        if canary_share and (model_version is not None or version_label is not None):
            raise ValueError(
                f"canary_share={canary_share} chooses between {stable_label!r} and {canary_label!r}; "
                "leave model_version and version_label out"
            )
        if compression not in (None, "gzip"):
            raise ValueError(f"expected a compression of 'gzip' or None, received {compression!r}")
        if max_message_bytes < 1:
            raise ValueError(f"expected max_message_bytes of at least 1, received {max_message_bytes}")
        if token and tls is None and not _is_this_machine(server):
            raise ValueError(
                f"the token would cross the network to {server} for everybody to read; give tls, or, where something "
                "else encrypts the way, metadata={'authorization': 'Bearer ...'}"
            )
        self.server = server
        self.model_name = model_name
        self.timeout = timeout
        self.model_version = model_version
        self.version_label = stable_label if canary_share else version_label
        self.canary_share = canary_share
        self.canary_label = canary_label
        self.retry = retry
        self.max_pixels = max_pixels
        self._metadata = _checked_metadata(metadata or {}, token)
        self._compression = grpc.Compression.Gzip if compression else None
        self._credentials = tls.credentials() if tls else None
        # gRPC keeps to itself why a connection does not come about.
        self._tls_advice = " (over TLS: does it speak that, and is its authority the one of ca_cert?)" if tls else ""
        self._channel_options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", min(max_message_bytes, 2**31 - 1)),
            ("grpc.max_receive_message_length", min(max_message_bytes, 2**31 - 1)),
            *_RECONNECTING,
            *(keepalive.channel_options() if keepalive else []),
            *(tls.channel_options() if tls else []),
            *([("grpc.service_config", _ROUND_ROBIN)] if server.startswith(_BALANCED) else []),
        ]
        self._lock = threading.Lock()
        self._connection: Any = None  # the client's own kind
        self._described: dict[str | None, int] = {}  # by label, the version that answered last
        self._descriptions: dict[int, ModelDescription] = {}  # by version; with several servers, they may alternate

    def _new_channel(self, library: Any) -> Any:
        """Return a channel of `grpc` or of `grpc.aio`."""
        if self._credentials is None:
            return library.insecure_channel(self.server, self._channel_options, self._compression)
        return library.secure_channel(self.server, self._credentials, self._channel_options, self._compression)

    # Flows: what the public methods do.

    def _coloring(self, photo: Any, strength: float, keep_tint: bool, format: str | None, quality: int) -> Flow[Any]:
        _check_strength(strength)
        _check_format(format)
        rgb, in_kind = yield Work(
            partial(open_photo, photo, max_pixels=self.max_pixels, format=format, quality=quality)
        )
        prepared, colors = yield from self._asking_for_color(rgb, None, keep_tint)
        return (yield Work(lambda: in_kind(finish(prepared, colors[0], strength))))

    def _varying(
        self, photo: Any, count: int, seed: int, strength: float, keep_tint: bool, format: str | None, quality: int
    ) -> Flow[list[Any]]:
        _check_strength(strength)
        _check_format(format)
        seeds = _seeds(count, seed)
        rgb, in_kind = yield Work(
            partial(open_photo, photo, max_pixels=self.max_pixels, format=format, quality=quality)
        )
        prepared, colors = yield from self._asking_for_color(rgb, seeds, keep_tint)
        variants = []
        for ab in colors:
            variants.append((yield Work(lambda ab=ab: in_kind(finish(prepared, ab, strength)))))  # type: ignore[misc]
        return variants

    def _finding_chroma(self, photo: Any, count: int | None, seed: int) -> Flow[NDArray[np.float32]]:
        seeds = None if count is None else _seeds(count, seed)
        rgb, _ = yield Work(partial(open_photo, photo, max_pixels=self.max_pixels))
        _, colors = yield from self._asking_for_color(rgb, seeds)
        return colors

    def _coloring_file(
        self,
        path: str | PathLike,
        output_paths: Sequence[Path],
        strength: float,
        keep_tint: bool,
        format: str | None,
        quality: int,
        seed: int | None,
    ) -> Flow[list[Path]]:
        """Write one colouring into a file, or with a seed as many different ones as there are files."""
        _check_strength(strength)
        if seed is None and len(output_paths) != 1:
            raise ValueError(f"expected one output path, or a seed for several, received {len(output_paths)}")
        seeds = None if seed is None else _seeds(len(output_paths), seed)
        _check_format(format)
        path = Path(path)
        formats = [_format_of(output, path, format) for output in output_paths]
        photo = yield Work(lambda: decode_photo(read_photo(path), max_pixels=self.max_pixels))
        prepared, colors = yield from self._asking_for_color(photo.rgb, seeds, keep_tint)

        def write(ab: NDArray, output: Path, format: str) -> None:
            rgb = finish(prepared, ab, strength)
            encoded = encode_photo(rgb, format, quality=quality, exif=photo.exif, icc=photo.icc, dpi=photo.dpi)
            write_whole(output, encoded)

        for ab, output, output_format in zip(colors, output_paths, formats, strict=True):
            yield Work(partial(write, ab, output, output_format))
        return list(output_paths)

    def _describing(self, label: str | None) -> Flow[ModelDescription]:
        outputs, version = yield from self._predicting(
            signatures.DESCRIBE, {signatures.NAME: np.array([b"client"], object)}, label
        )
        try:
            description = ModelDescription.from_outputs(outputs)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise ServerRefused(f"{self._who()} does not describe itself as a colorizer does: {error!r}") from error
        if not (1 <= description.stride <= description.size <= 1 << 14):
            raise ServerRefused(f"{self._who()} describes an impossible size: {description}")
        self._described[label] = version
        self._descriptions[version] = description
        return description

    def _asking_for_color(
        self, rgb: NDArray, seeds: Sequence[int] | None, keep_tint: bool = False
    ) -> Flow[tuple[Prepared, NDArray[np.float32]]]:
        """Ask for the colour of a photograph [H, W, 3]: once, or once for each of the seeds.

        Returns:
            The prepared photograph, and a*b* for its square, float32 [N, S, S, 2].
        """
        label = (yield Work(partial(self._label_for, rgb))) if self.canary_share else self.version_label
        version = self._described.get(label)
        description = (yield from self._describing(label)) if version is None else self._descriptions[version]
        prepared = yield Work(partial(prepare, rgb, description.size, keep_tint=keep_tint))
        ab, answering = yield from self._predicting_ab(prepared.square[None], label, seeds)
        for _ in range(_DESCRIBING_ATTEMPTS):
            if answering in self._descriptions:
                self._described[label] = answering
                break
            yield from self._describing(label)  # a new version took over
        newer = self._descriptions.get(answering, description)
        if newer.size != description.size:
            prepared = yield Work(partial(prepare, rgb, newer.size, keep_tint=keep_tint))
            ab, _ = yield from self._predicting_ab(prepared.square[None], label, seeds)
        return prepared, ab

    def _predicting_ab(
        self, lightness: NDArray, label: str | None, seeds: Sequence[int] | None = None
    ) -> Flow[tuple[NDArray[np.float32], int]]:
        """Return the colour of [N, S, S, 1] and the version it is of; with seeds N is 1 and becomes their number."""
        if lightness.ndim != 4 or lightness.shape[-1] != 1:
            raise ValueError(f"expected lightness of shape [N, S, S, 1], received {lightness.shape}")
        inputs = {"L": np.asarray(lightness, np.float32)}
        if seeds is None:
            outputs, version = yield from self._predicting(signatures.COLORIZE, inputs, label)
        else:
            inputs = {"L": np.repeat(inputs["L"], len(seeds), axis=0), "seed": np.array(seeds, np.int32)}
            try:
                outputs, version = yield from self._predicting(signatures.VARIANTS, inputs, label)
            except ServerRefused as refused:
                if not _lacks_signature(refused, signatures.VARIANTS):
                    raise
                raise ServerRefused(
                    f"{self._who()} gives one colouring only: it has no signature {signatures.VARIANTS!r}. "
                    "Recipes with dropout while colouring, such as pix2pix_lab_256, give several",
                    refused.code,
                ) from refused
        expected = (*inputs["L"].shape[:3], 2)
        ab = outputs.get("ab")
        if ab is None or ab.shape != expected or ab.dtype.kind != "f":
            received = f"outputs {sorted(outputs)}" if ab is None else f"{ab.dtype} of shape {ab.shape}"
            raise ServerRefused(f"{self._who()} answered with {received}; expected ab, float32 of shape {expected}")
        if not np.isfinite(ab).all():
            raise ServerRefused(f"{self._who()} answered with colours that are not numbers")
        return ab.astype(np.float32, copy=False), version

    def _predicting(
        self, signature: str, inputs: dict[str, NDArray], label: str | None
    ) -> Flow[tuple[dict[str, NDArray], int]]:
        """Return the outputs of a signature, and the version that gave them."""
        request = wire.PredictRequest()
        self._fill(request.model_spec, label)
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(wire.tensor_from_array(array))
        response = yield from self._calling(wire.PREDICT, request, wire.PredictResponse.FromString, label)
        try:
            outputs = {name: wire.array_from_tensor(tensor) for name, tensor in response.outputs.items()}
        except ValueError as error:
            raise ServerRefused(f"{self._who()} answered with {error}") from error
        return outputs, response.model_spec.version.value

    def _calling(self, method: str, request: Any, parse: Callable[[bytes], Any], label: str | None) -> Flow[Any]:
        """Send a request; wait for a server that is starting, loading its model or out of room, until the deadline."""
        deadline = time.monotonic() + self.timeout
        failures, was_available = 0, False
        while True:
            try:
                return (yield Send(method, request, parse, max(deadline - time.monotonic(), 0.001)))
            except grpc.RpcError as error:
                failure: Any = error
            failures += 1
            code, words = failure.code(), failure.details() or "no reason given"
            attempts_left = self.retry.max_attempts is None or failures < self.retry.max_attempts
            is_arriving = False
            if code is grpc.StatusCode.NOT_FOUND:
                is_available, is_arriving = yield from self._look_for_model(label)
                # It may have come between the question and the look; not found after it was there is a refusal.
                is_arriving |= is_available and not was_available
                was_available = is_available
            if is_arriving:
                words, attempts_left = f"{self._who()} is still loading", True
            elif code is grpc.StatusCode.CANCELLED and words == _CUT_OFF:
                words = "it is stopping"
            elif code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise ServerRefused(f"{self._who()} refused with {code.name}: {words}", code.name) from failure
            pause = self.retry.pause(failures)
            if code is grpc.StatusCode.DEADLINE_EXCEEDED or time.monotonic() + pause >= deadline:
                reason = f" ({words})" if code is not grpc.StatusCode.DEADLINE_EXCEEDED else self._tls_advice
                raise ServerUnavailable(f"{self.server} did not answer within {self.timeout:g} s{reason}") from failure
            if not attempts_left:
                times = f", {failures} times" if failures > 1 else ""
                raise ServerUnavailable(f"{self.server} was unavailable{times}: {words}") from failure
            yield Pause(pause)

    def _look_for_model(self, label: str | None) -> Flow[tuple[bool, bool]]:
        """Return whether a model that could not be found is available now, and whether it may be on its way.

        A server too busy with loading to answer within a second counts as the latter.
        """
        request = wire.GetModelStatusRequest()
        self._fill(request.model_spec, label)
        try:
            response = yield Send(
                wire.GET_MODEL_STATUS, request, wire.GetModelStatusResponse.FromString, min(self.timeout, 1.0)
            )
        except grpc.RpcError as error:
            failure: Any = error
            return False, failure.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        states = {version.state for version in response.model_version_status}
        return wire.MODEL_AVAILABLE in states, not states.isdisjoint(wire.MODEL_ARRIVING)

    def _fill(self, model_spec: Any, label: str | None) -> None:
        model_spec.name = self.model_name
        if self.model_version is not None:
            model_spec.version.value = self.model_version
        elif label is not None:
            model_spec.version_label = label

    def _label_for(self, rgb: NDArray) -> str | None:
        """Choose a version by the photograph's content, so that the same photograph always meets the same one."""
        digest = hashlib.sha256(np.ascontiguousarray(rgb).data).digest()
        is_canary = int.from_bytes(digest[:8]) < self.canary_share * 2**64
        return self.canary_label if is_canary else self.version_label

    def _who(self) -> str:
        return f"model {self.model_name!r} at {self.server}"


def check_concurrency(concurrency: int) -> int:
    """Return it; raises ValueError for less than 1."""
    if concurrency < 1:
        raise ValueError(f"expected a concurrency of at least 1, received {concurrency}")
    return concurrency


def output_paths_of(output: OutputPaths) -> list[Path]:
    """Return one output path, or several, as a list."""
    return [Path(output)] if isinstance(output, str | PathLike) else [Path(path) for path in output]


def _seeds(count: int, seed: int) -> range:
    if not 1 <= count <= MAX_VARIANTS:
        raise ValueError(f"expected 1..{MAX_VARIANTS} variants, received {count}")
    if not 0 <= seed <= 2**31 - count:  # int32 in the signature
        raise ValueError(f"expected a seed of 0..{2**31 - count}, received {seed}")
    return range(seed, seed + count)


def _check_strength(strength: float) -> None:
    if not (strength >= 0 and math.isfinite(strength)):
        raise ValueError(f"expected a strength of at least 0, received {strength}")


def _check_format(format: str | None) -> None:
    if format is not None and format not in FORMAT_OF_SUFFIX.values():
        raise ValueError(f"expected a format of {sorted(set(FORMAT_OF_SUFFIX.values()))}, received {format!r}")


def _format_of(output: Path, path: Path, format: str | None) -> str:
    if output.exists() and path.exists() and output.samefile(path):
        raise TintypeError(f"{output} is the photograph itself; choose another place for the result")
    found = format or FORMAT_OF_SUFFIX.get(output.suffix.lower())
    if found is None:
        raise TintypeError(
            f"cannot tell the format of {output} by its suffix; expected one of {', '.join(FORMAT_OF_SUFFIX)}"
        )
    return found


def _lacks_signature(refused: ServerRefused, signature: str) -> bool:
    """TensorFlow Serving's words: FAILED_PRECONDITION, Serving signature key "variants" not found."""
    return refused.code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT") and f'"{signature}" not found' in str(refused)


def _is_this_machine(server: str) -> bool:
    return server.startswith(("unix:", "localhost:", "127.0.0.1:", "[::1]:"))


def _checked_metadata(metadata: Mapping[str, str], token: str | None) -> tuple[tuple[str, str], ...]:
    pairs = dict(metadata) | ({"authorization": f"Bearer {token}"} if token else {})
    for key, value in pairs.items():
        if not re.fullmatch(r"[0-9a-z_.-]+", key) or key.startswith("grpc-") or key.endswith("-bin"):
            raise ValueError(f"expected a metadata key of 0-9 a-z _ . -, received {key!r}")
        if not re.fullmatch(r"[ -~]*", value):
            raise ValueError(f"expected the metadata {key!r} in printable ASCII")  # not repeated: it may be a secret
    return tuple(pairs.items())
