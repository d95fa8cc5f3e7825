"""Asks one model on a server, and tries again where that helps; checks what comes back."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from photo.errors import ServerRefused, ServerUnavailable, SignatureMissing
from serving.client import wire
from serving.client.flow_steps import Flow, Pause, Send
from serving.client.options import ConnectionOptions
from serving.client.server_address import Address
from serving.model import signatures
from serving.model.description import ModelDescription

# What gRPC itself says, in place of UNAVAILABLE, of a call that reaches a server in the moment it stops.
_CUT_OFF = "CANCELLED"

_LARGEST_SIZE = 1 << 14

LIKELY_COLORS = 8
"""How many the signature `guided` gives for a place."""

# What is said of a model that has no such signature.
_WORDS_OF_MISSING = {
    signatures.VARIANTS: f"gives one colouring only: it has no signature {signatures.VARIANTS!r}. "
    "Recipes with dropout while colouring, such as pix2pix_lab_256, or with hints give several, "
    "where TensorFlow asks them (--engine tensorflow)",
    signatures.GUIDED: f"takes no hints: it has no signature {signatures.GUIDED!r}",
}

_DEADLINE_EXCEEDED, _UNAVAILABLE = grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE


def fill_model_spec(model_spec: Any, options: ConnectionOptions, label: str | None) -> None:
    """Write into a request whom it asks: the model, and its version by number or by label."""
    model_spec.name = options.model_name
    if options.model_version is not None:
        model_spec.version.value = options.model_version
    elif label is not None:
        model_spec.version_label = label


class ModelRequests:
    """The questions a client asks of a model, as flows; every answer is checked before anybody relies on it.

    Args:
        address: of the server, or of the model in this process.
        options: whom to ask, how long to wait and how to try again.
    """

    def __init__(self, address: Address, options: ConnectionOptions):
        self._address = address
        self._options = options
        self._who = f"model {options.model_name!r} {address.where}"

    def describing(self, label: str | None) -> Flow[tuple[ModelDescription, int]]:
        """Return what the model says of itself, and the version that said so."""
        outputs, version = yield from self._predicting(
            signatures.DESCRIBE, {signatures.NAME: np.array([b"client"], object)}, label
        )
        try:
            description = ModelDescription.from_outputs(outputs)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise ServerRefused(f"{self._who} does not describe itself as a colorizer does: {error!r}") from error
        if not (1 <= description.stride <= description.size <= _LARGEST_SIZE):
            raise ServerRefused(f"{self._who} describes an impossible size: {description}")
        return description, version

    def predicting_ab(
        self,
        lightness: NDArray[Any],
        label: str | None,
        *,
        seeds: range | None = None,
        hints: NDArray[np.float32] | None = None,
    ) -> Flow[tuple[NDArray[np.float32], int]]:
        """Return the colour of [N, S, S, 1] and the version it is of.

        Args:
            lightness: L*.
            label: of the version to ask.
            seeds: N is 1 and becomes their number.
            hints: float32 [N, S, S, 3], as `photo.coloring.hint_map` draws them; not together with seeds.
        """
        inputs = _inputs_of(lightness)
        if seeds is not None:
            inputs[signatures.LIGHTNESS] = np.repeat(inputs[signatures.LIGHTNESS], len(seeds), axis=0)
            inputs[signatures.SEED] = np.array(seeds, np.int32)
            signature = signatures.VARIANTS
        elif hints is not None:
            inputs[signatures.HINTS] = hints
            signature = signatures.GUIDED
        else:
            signature = signatures.COLORIZE
        wanted = (signatures.AB,) if hints is not None else ()
        outputs, version = yield from self._predicting(signature, inputs, label, wanted)
        expected = (*inputs[signatures.LIGHTNESS].shape[:3], 2)
        return self._checked(outputs, signatures.AB, expected), version

    def asking_about_colors(
        self, lightness: NDArray[Any], hints: NDArray[np.float32], label: str | None, wanted: tuple[str, ...]
    ) -> Flow[tuple[list[NDArray[np.float32]], int]]:
        """Return outputs of `guided` other than `ab`, for [N, S, S, 1] and hints [N, S, S, 3], and their version."""
        inputs = {**_inputs_of(lightness), signatures.HINTS: hints}
        outputs, version = yield from self._predicting(signatures.GUIDED, inputs, label, wanted)
        count, side = lightness.shape[:2]
        small = (count, side // 4, side // 4, LIKELY_COLORS)
        expected = {
            signatures.LIKELY_COLORS: (*small, 2),
            signatures.LIKELY_SHARES: small,
            signatures.UNCERTAINTY: (count, side, side, 1),
        }
        return [self._checked(outputs, name, expected[name]) for name in wanted], version

    def _checked(
        self, outputs: Mapping[str, NDArray[Any]], name: str, expected: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Return an output that has the shape expected, and only finite numbers."""
        found = outputs.get(name)
        if found is None or found.shape != expected or found.dtype.kind != "f":
            received = f"outputs {sorted(outputs)}" if found is None else f"{found.dtype} of shape {found.shape}"
            raise ServerRefused(f"{self._who} answered with {received}; expected {name}, float32 of shape {expected}")
        if not np.isfinite(found).all():
            raise ServerRefused(f"{self._who} answered with colours that are not numbers")
        return found.astype(np.float32, copy=False)

    def _predicting(
        self, signature: str, inputs: Mapping[str, NDArray[Any]], label: str | None, wanted: Iterable[str] = ()
    ) -> Flow[tuple[dict[str, NDArray[Any]], int]]:
        """Return the outputs of a signature, all or those wanted, and the version that gave them."""
        request = wire.PredictRequest()
        fill_model_spec(request.model_spec, self._options, label)
        request.model_spec.signature_name = signature
        request.output_filter.extend(wanted)
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(wire.tensor_from_array(array))
        try:
            response = yield from self._calling(wire.PREDICT, request, wire.PredictResponse.FromString, label)
        except ServerRefused as refused:
            if signature in _WORDS_OF_MISSING and _lacks_signature(refused, signature):
                words = f"{self._who} {_WORDS_OF_MISSING[signature]}"
                raise SignatureMissing(words, signature, refused.code) from refused
            raise
        try:
            outputs = {name: wire.array_from_tensor(tensor) for name, tensor in response.outputs.items()}
        except ValueError as error:
            raise ServerRefused(f"{self._who} answered with {error}") from error
        return outputs, response.model_spec.version.value

    def _calling(
        self, method: str, request: Message, parse: Callable[[bytes], Message], label: str | None
    ) -> Flow[Any]:
        """Send a request; wait for a server that is starting, loading its model or out of room, until the deadline."""
        server, retry = self._address.server, self._options.retry
        deadline = time.monotonic() + self._options.timeout
        failures, was_available = 0, False
        while True:
            try:
                return (yield Send(method, request, parse, max(deadline - time.monotonic(), 0.001)))
            except grpc.RpcError as error:
                failure: Any = error
            failures += 1
            code, words = failure.code(), failure.details() or "no reason given"
            attempts_left = retry.max_attempts is None or failures < retry.max_attempts
            is_arriving = False
            if code is grpc.StatusCode.NOT_FOUND:
                is_available, is_arriving = yield from self._looking_for_model(label)
                # It may have come between the question and the look; not found after it was there is a refusal.
                is_arriving |= is_available and not was_available
                was_available = is_available
            if is_arriving:
                words, attempts_left = f"{self._who} is still loading", True
            elif code is grpc.StatusCode.CANCELLED and words == _CUT_OFF:
                words = "it is stopping"
            elif code not in (_UNAVAILABLE, _DEADLINE_EXCEEDED):
                raise ServerRefused(f"{self._who} refused with {code.name}: {words}", code.name) from failure
            pause = retry.pause(failures)
            if code is _DEADLINE_EXCEEDED or time.monotonic() + pause >= deadline:
                reason = f" ({words})" if code is not _DEADLINE_EXCEEDED else self._address.tls_advice
                raise ServerUnavailable(
                    f"{server} did not answer within {self._options.timeout:g} s{reason}"
                ) from failure
            if not attempts_left:
                times = f", {failures} times" if failures > 1 else ""
                raise ServerUnavailable(f"{server} was unavailable{times}: {words}") from failure
            yield Pause(pause)

    def _looking_for_model(self, label: str | None) -> Flow[tuple[bool, bool]]:
        """Return whether a model that could not be found is available now, and whether it may be on its way.

        A server too busy with loading to answer within a second counts as the latter.
        """
        request = wire.GetModelStatusRequest()
        fill_model_spec(request.model_spec, self._options, label)
        timeout = min(self._options.timeout, 1.0)
        try:
            response = yield Send(wire.GET_MODEL_STATUS, request, wire.GetModelStatusResponse.FromString, timeout)
        except grpc.RpcError as error:
            failure: Any = error
            return False, failure.code() in (_UNAVAILABLE, _DEADLINE_EXCEEDED)
        states = {version.state for version in response.model_version_status}
        return wire.MODEL_AVAILABLE in states, not states.isdisjoint(wire.MODEL_ARRIVING)


def _inputs_of(lightness: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if lightness.ndim != 4 or lightness.shape[-1] != 1:
        raise ValueError(f"expected lightness of shape [N, S, S, 1], received {lightness.shape}")
    return {signatures.LIGHTNESS: np.asarray(lightness, np.float32)}


def _lacks_signature(refused: ServerRefused, signature: str) -> bool:
    """TensorFlow Serving's words: FAILED_PRECONDITION, Serving signature key "variants" not found."""
    return refused.code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT") and f'"{signature}" not found' in str(refused)
