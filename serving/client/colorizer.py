"""`Colorizer`: colours photographs by asking a TensorFlow Serving (or embedded) server over gRPC."""

import math
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.client import wire
from serving.client.coloring import finish, prepare
from serving.client.errors import PhotoError, ServerRefused, ServerUnavailable, TintypeError
from serving.client.photo import FORMAT_OF_SUFFIX, MAX_PIXELS, decode_photo, encode_photo, photo_from_image
from serving.client.whole_file import write_whole

DEFAULT_SERVER = "localhost:8500"
DEFAULT_MODEL_NAME = "colorizer"

# Signatures of the model contract, and the names of their inputs and outputs.
_COLORIZE, _DESCRIBE = "serving_default", "describe"

# Photographs and answers have no natural limit; gRPC's own, 4 MiB, is that of one 700 x 700 answer.
_CHANNEL_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

# Seconds before an UNAVAILABLE answer is tried again: a server that is loading its model, or has a full queue.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


@dataclass(frozen=True)
class ModelDescription:
    """What a served model says of itself.

    Attributes:
        recipe: name of the recipe it was trained with.
        size: side in pixels it was trained at; the client sends squares of it.
        stride: divisor of the sides it accepts.
        fingerprint: identifies the trained model.
    """

    recipe: str
    size: int
    stride: int
    fingerprint: str


class Colorizer:
    """A client of a server that colours photographs.

    Nothing is sent before the first call; the connection is then kept. Safe to use from several threads.

        with Colorizer("localhost:8500") as colorizer:
            colorizer.colorize_file("grandmother.jpg", "grandmother-in-colour.jpg")

    Args:
        server: HOST:PORT of the server's gRPC port.
        model_name: the name the server serves the model under.
        timeout: seconds for one request, the wait for a server that is only starting included.
        model_version: ask this version; None asks the newest (or what `version_label` names).
        version_label: ask the version the server has given this label, e.g. "canary".
        max_pixels: larger photographs are refused.
        credentials: TLS credentials of the channel; None speaks plain text.

    Raises:
        ValueError: for an argument that can never work.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        model_name: str = DEFAULT_MODEL_NAME,
        timeout: float = 30.0,
        model_version: int | None = None,
        version_label: str | None = None,
        max_pixels: int = MAX_PIXELS,
        credentials: grpc.ChannelCredentials | None = None,
    ):
        if not re.fullmatch(r"(unix:.+|(dns:.*/)?(\[[0-9a-fA-F:.%]+\]|[^\s:/]+):\d{1,5})", server):
            raise ValueError(f"expected the server as HOST:PORT, such as {DEFAULT_SERVER}, received {server!r}")
        if not (timeout > 0 and math.isfinite(timeout)):
            raise ValueError(f"expected a timeout of more than 0 seconds, received {timeout}")
        if model_version is not None and version_label is not None:
            raise ValueError("expected model_version or version_label, received both")
        self.server = server
        self.model_name = model_name
        self.timeout = timeout
        self.model_version = model_version
        self.version_label = version_label
        self.max_pixels = max_pixels
        self._credentials = credentials
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._described: tuple[int, ModelDescription] | None = None

    def __enter__(self) -> "Colorizer":
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None

    def colorize(self, photo: Any, *, strength: float = 1.0) -> Any:
        """Colour one photograph at its full size; its lightness stays.

        Args:
            photo: a path or the bytes of a JPEG, PNG, WebP, TIFF or BMP file; a Pillow image; or an array [H, W],
                [H, W, 1] or [H, W, 3] of uint8, uint16 or floating point in 0..1.
            strength: factor on the chroma: 0 is gray, 1 the model's colour, more is more vivid.

        Returns:
            The same kind: for a path or bytes the bytes of a file of the same format, with its EXIF data and
            resolution; for a Pillow image an RGB image; for an array [H, W, 3] of its dtype.

        Raises:
            PhotoError: when the photograph cannot be used.
            ServerUnavailable: when no server answers within `timeout`.
            ServerRefused: when the server answers with an error.
            TypeError: for another kind of photograph.
        """
        if isinstance(photo, str | os.PathLike):
            photo = _read(Path(photo))
        if isinstance(photo, bytes | bytearray | memoryview):
            return self._colorize_bytes(bytes(photo), strength=strength)
        if isinstance(photo, Image.Image):
            decoded = photo_from_image(photo)
            rgb = self._colorize_rgb(decoded.rgb, strength)
            colored = Image.fromarray(rgb if rgb.dtype == np.uint8 else (rgb >> 8).astype(np.uint8))
            kept = {"dpi": decoded.dpi, "exif": decoded.exif}
            colored.info |= {key: value for key, value in kept.items() if value is not None}
            return colored
        if isinstance(photo, np.ndarray):
            return self._colorize_rgb(_checked_array(photo), strength)
        raise TypeError(f"expected a path, bytes, a Pillow image or an array, received {type(photo).__name__}")

    def colorize_file(
        self,
        path: str | os.PathLike,
        output_path: str | os.PathLike,
        *,
        strength: float = 1.0,
        format: str | None = None,
        quality: int = 92,
    ) -> Path:
        """Colour a file into another, which appears whole or not at all; EXIF data and resolution are kept.

        Args:
            path: the photograph.
            output_path: where to write; missing folders are made. An existing file is replaced.
            strength: as for `colorize`.
            format: "JPEG", "PNG", "WEBP", "TIFF" or "BMP"; None takes it from the suffix of `output_path`.
            quality: 1..100, of JPEG and WebP.

        Returns:
            `output_path`.

        Raises:
            TintypeError: as `colorize`; also when `output_path` is `path` itself or cannot be written.
        """
        path, output_path = Path(path), Path(output_path)
        if output_path.exists() and path.exists() and output_path.samefile(path):
            raise TintypeError(f"{output_path} is the photograph itself; choose another place for the result")
        if format is None and (format := FORMAT_OF_SUFFIX.get(output_path.suffix.lower())) is None:
            raise TintypeError(
                f"cannot tell the format of {output_path} by its suffix; expected one of {', '.join(FORMAT_OF_SUFFIX)}"
            )
        encoded = self._colorize_bytes(_read(path), strength=strength, format=format, quality=quality)
        write_whole(output_path, encoded)
        return output_path

    def predict_ab(self, lightness: NDArray) -> NDArray[np.float32]:
        """Ask the model for the colour of a batch of lightness.

        Args:
            lightness: L*, float32 [N, S, S, 1], 0..100; sides divisible by the model's stride.

        Returns:
            a*b* in CIE units, float32 [N, S, S, 2].
        """
        return self._predict_ab(lightness)[0]

    def describe(self) -> ModelDescription:
        """Ask the model what it is."""
        outputs, version = self._predict(_DESCRIBE, {"name": np.array([b"client"], object)})
        try:
            description = ModelDescription(
                recipe=outputs["recipe"][0].decode(),
                size=int(outputs["size"][0]),
                stride=int(outputs["stride"][0]),
                fingerprint=outputs["fingerprint"][0].decode(),
            )
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise ServerRefused(f"{self._who()} does not describe itself as a colorizer does: {error!r}") from error
        if not (1 <= description.stride <= description.size <= 1 << 14):
            raise ServerRefused(f"{self._who()} describes an impossible size: {description}")
        self._described = version, description
        return description

    def _colorize_bytes(self, data: bytes, *, strength: float, format: str | None = None, quality: int = 92) -> bytes:
        photo = decode_photo(data, max_pixels=self.max_pixels)
        rgb = self._colorize_rgb(photo.rgb, strength)
        return encode_photo(rgb, format or photo.format, quality=quality, exif=photo.exif, dpi=photo.dpi)

    def _colorize_rgb(self, rgb: NDArray, strength: float) -> NDArray:
        if not (strength >= 0 and math.isfinite(strength)):
            raise ValueError(f"expected a strength of at least 0, received {strength}")
        if self._described is None:
            self.describe()
        assert self._described is not None
        version, description = self._described
        prepared = prepare(rgb, description.size)
        ab, answering = self._predict_ab(prepared.square[None])
        if answering != version:  # a new version took over, and may want another size
            newer = self.describe()
            if newer.size != description.size:
                prepared = prepare(rgb, newer.size)
                ab, _ = self._predict_ab(prepared.square[None])
        return finish(prepared, ab[0], strength)

    def _predict_ab(self, lightness: NDArray) -> tuple[NDArray[np.float32], int]:
        if lightness.ndim != 4 or lightness.shape[-1] != 1:
            raise ValueError(f"expected lightness of shape [N, S, S, 1], received {lightness.shape}")
        outputs, version = self._predict(_COLORIZE, {"L": np.asarray(lightness, np.float32)})
        expected = (*lightness.shape[:3], 2)
        ab = outputs.get("ab")
        if ab is None or ab.shape != expected or ab.dtype.kind != "f":
            received = f"outputs {sorted(outputs)}" if ab is None else f"{ab.dtype} of shape {ab.shape}"
            raise ServerRefused(f"{self._who()} answered with {received}; expected ab, float32 of shape {expected}")
        if not np.isfinite(ab).all():
            raise ServerRefused(f"{self._who()} answered with colours that are not numbers")
        return ab.astype(np.float32, copy=False), version

    def _predict(self, signature: str, inputs: dict[str, NDArray]) -> tuple[dict[str, NDArray], int]:
        """Return the outputs of a signature, and the version that gave them."""
        request = wire.PredictRequest()
        request.model_spec.name = self.model_name
        request.model_spec.signature_name = signature
        if self.model_version is not None:
            request.model_spec.version.value = self.model_version
        if self.version_label is not None:
            request.model_spec.version_label = self.version_label
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(wire.tensor_from_array(array))
        response = self._call(wire.PREDICT, request, wire.PredictResponse.FromString)
        try:
            outputs = {name: wire.array_from_tensor(tensor) for name, tensor in response.outputs.items()}
        except ValueError as error:
            raise ServerRefused(f"{self._who()} answered with {error}") from error
        return outputs, response.model_spec.version.value

    def _call(self, method: str, request: Any, parse: Callable[[bytes], Any]) -> Any:
        """Send a request; wait for a server that is starting, loading its model or out of room, until the deadline."""
        call = self._open_channel().unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=parse
        )
        deadline = time.monotonic() + self.timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                return call(request, timeout=max(deadline - time.monotonic(), 0.001), wait_for_ready=True)
            except grpc.RpcError as error:
                code, words = error.code(), error.details() or "no reason given"
                late = code is grpc.StatusCode.DEADLINE_EXCEEDED or time.monotonic() + pause >= deadline
                if code is grpc.StatusCode.NOT_FOUND and self._is_loading(request.model_spec):
                    words = f"{self._who()} is still loading"
                elif code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise ServerRefused(f"{self._who()} refused with {code.name}: {words}") from error
                if late:
                    reason = f" ({words})" if code is not grpc.StatusCode.DEADLINE_EXCEEDED else ""
                    raise ServerUnavailable(
                        f"{self.server} did not answer within {self.timeout:g} s{reason}"
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_loading(self, model_spec: Any) -> bool:
        """Return whether a model that cannot be found is on its way: the server knows it, but has it not yet."""
        call = self._open_channel().unary_unary(
            wire.GET_MODEL_STATUS,
            request_serializer=wire.GetModelStatusRequest.SerializeToString,
            response_deserializer=wire.GetModelStatusResponse.FromString,
        )
        request = wire.GetModelStatusRequest()
        request.model_spec.CopyFrom(model_spec)
        request.model_spec.ClearField("signature_name")
        try:
            versions = call(request, timeout=min(self.timeout, 1.0)).model_version_status
        except grpc.RpcError:
            return False
        return any(version.state in wire.MODEL_ARRIVING for version in versions)

    def _open_channel(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                self._channel = (
                    grpc.insecure_channel(self.server, options=_CHANNEL_OPTIONS)
                    if self._credentials is None
                    else grpc.secure_channel(self.server, self._credentials, options=_CHANNEL_OPTIONS)
                )
            return self._channel

    def _who(self) -> str:
        return f"model {self.model_name!r} at {self.server}"


def _checked_array(array: NDArray) -> NDArray:
    """Return [H, W, 3] of an array a caller handed over."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise PhotoError("unreadable", f"expected an array [H, W], [H, W, 1] or [H, W, 3], received {array.shape}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise PhotoError(
                "unreadable", f"expected {array.dtype} values in 0..1, received some outside or not finite"
            )
    elif array.dtype not in (np.uint8, np.uint16):
        raise PhotoError("unreadable", f"expected uint8, uint16 or floating point in 0..1, received {array.dtype}")
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PhotoError("unreadable", f"cannot read {path}: {error.strerror or error}") from error
