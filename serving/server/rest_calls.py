"""What a REST request asks for, by its address, and the call of the model server that answers it.

Imports TensorFlow, through the messages.
"""

import logging
import re
import time
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from serving.model import signatures
from serving.server import rest_answers, rest_requests
from serving.server.errors import RequestError, invalid
from serving.server.model_server import ModelServer
from serving.server.served_model import DEFAULT_SIGNATURE

log = logging.getLogger(__name__)

_MODEL = r"/v1/models{name}(?:/versions/(\d+)|/labels/([^/:]+))?"
_POST = re.compile(_MODEL.format(name="/([^/:]+)") + ":(classify|regress|predict)", re.ASCII | re.IGNORECASE)
_GET = re.compile(_MODEL.format(name="(?:/([^/:]+))?") + "(?:/(metadata))?", re.ASCII | re.IGNORECASE)

_MAX_GZIP_MEMBERS = 1000  # as files that are written one after the other
_GZIP_PIECE_BYTES = 1 << 16
_AUTHORITY = re.compile("https?://[^/?]*", re.IGNORECASE)


class Target(NamedTuple):
    """What the address of a request names; `verb` is empty for a model's status and metadata."""

    model_name: str = ""
    version: int | None = None
    label: str | None = None
    verb: str = ""
    wants_metadata: bool = False

    def fill(self, spec: ModelSpec) -> None:
        """Write it into the `spec` of a request."""
        spec.name = self.model_name
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label


class BodyRefused(Exception):  # noqa: N818
    """A request whose body is not read; HTTP has a status for it and gRPC has none.

    Attributes:
        status: the HTTP status code.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def without_authority(address: str) -> str:
    """Return the path and query of a request's target, which may name the server: `http://localhost:8501/v1/...`."""
    return _AUTHORITY.sub("", address) or "/"


def target_of(method: str, address: str) -> Target:
    """Return what an address names; raises RequestError, INVALID_ARGUMENT, where it is none of the API."""
    found = {"POST": _POST, "GET": _GET}[method].fullmatch(address) if method in ("POST", "GET") else None
    # The address may be in any case, but the verb is compared as it is.
    if found is None or (method == "POST" and not found[4].islower()):
        raise invalid(f"Malformed request: {method} {address}")
    name, version, label, last = found.groups()
    return Target(
        model_name=unquote(name or ""),
        version=None if version is None else _int64(version),
        label=None if label is None else unquote(label),
        verb=last if method == "POST" else "",
        wants_metadata=method == "GET" and last == "metadata",
    )


class RestHandler:
    """From a body to the body of the answer, in a thread of the pool."""

    def __init__(self, models: ModelServer, max_body_bytes: int):
        self._models = models
        self._max_body_bytes = max_body_bytes

    def handle(self, target: Target, body: bytes, is_gzip: bool, deadline: float | None) -> bytes:
        """The JSON that answers; `deadline` is on time.monotonic()'s clock.

        Raises:
            RequestError: what the model server raises, or DEADLINE_EXCEEDED when its turn comes too late.
        """
        if deadline is not None and time.monotonic() > deadline:
            raise timed_out()
        try:
            return self._dispatch(target, _uncompressed(body, self._max_body_bytes) if is_gzip else body)
        except (RequestError, BodyRefused):
            raise
        except Exception as error:
            log.exception("a REST request failed")
            raise RequestError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}") from error

    def _dispatch(self, target: Target, body: bytes) -> bytes:
        match target.verb:
            case "predict":
                return self._predict(target, body)
            case "classify":
                parsed = rest_requests.parse_body(body)
                classification = ClassificationRequest(input=rest_requests.examples_input(parsed))
                _name(classification.model_spec, target, parsed)
                return rest_answers.classification_json(self._models.classify(classification).result)
            case "regress":
                parsed = rest_requests.parse_body(body)
                regression = RegressionRequest(input=rest_requests.examples_input(parsed))
                _name(regression.model_spec, target, parsed)
                return rest_answers.regression_json(self._models.regress(regression).result)
        if not target.model_name:
            raise invalid("Missing model name in request.")
        if target.wants_metadata:
            return rest_answers.metadata_json(self._models.get_model_metadata(_metadata_request(target)))
        status = GetModelStatusRequest()
        target.fill(status.model_spec)
        return rest_answers.status_json(self._models.get_model_status(status))

    def _predict(self, target: Target, body: bytes) -> bytes:
        parsed = rest_requests.parse_body(body)
        request = PredictRequest()
        _name(request.model_spec, target, parsed)
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        metadata = self._models.get_model_metadata(_metadata_request(target))
        found = rest_answers.signature_defs(metadata).signature_def
        if name not in found:
            raise RequestError(
                grpc.StatusCode.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def'
            )
        signature = found[name].inputs
        if not signature:
            shown = request.model_spec.signature_name or "DEFAULT"
            raise invalid(f"Failed to get input map for signature: {shown}")
        given = rest_requests.predict_inputs(parsed, signature)
        for key, tensor in given.inputs.items():
            request.inputs[key].CopyFrom(tensor)
        outputs: Mapping[str, Any] = self._models.predict(request, as_content=True).outputs
        if name == signatures.COLORIZE_BYTES and list(outputs) == [signatures.BYTES]:
            outputs = {signatures.IMAGE_BYTES: outputs[signatures.BYTES]}  # of a model exported under the old name
        return rest_answers.predict_json(outputs, in_rows=given.in_rows)


def _int64(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    if len(significant) > 19 or int(significant) >= 2**63:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return int(significant)


def _name(spec: ModelSpec, target: Target, parsed: dict[str, Any]) -> None:
    target.fill(spec)
    spec.signature_name = rest_requests.signature_name(parsed)


def _metadata_request(target: Target) -> GetModelMetadataRequest:
    request = GetModelMetadataRequest(metadata_field=[rest_answers.SIGNATURE_DEF])
    target.fill(request.model_spec)
    return request


def _uncompressed(body: bytes, max_bytes: int) -> bytes:
    plain = bytearray()
    position = members = 0
    while position < len(body):
        members += 1
        if members > _MAX_GZIP_MEMBERS:
            raise invalid(f"Failed to uncompress the gzipped body: it has more than {_MAX_GZIP_MEMBERS} members")
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip's header and trailer
        while not stream.eof:
            piece = body[position : position + _GZIP_PIECE_BYTES]
            if not piece:
                raise invalid("Failed to uncompress the gzipped body: it ends too early")
            try:
                plain += stream.decompress(piece, max_bytes - len(plain) + 1)
            except zlib.error as error:
                raise invalid(f"Failed to uncompress the gzipped body: {error}") from error
            if len(plain) > max_bytes:
                raise too_large(max_bytes)
            position += len(piece)
        position -= len(stream.unused_data)
    return bytes(plain)


def too_large(max_bytes: int) -> BodyRefused:
    """Return the error of a body with more bytes."""
    return BodyRefused(413, f"The body of a request may have {max_bytes} bytes, before and after gzip.")


def timed_out() -> RequestError:
    """Return the error of an answer that came too late."""
    return RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out waiting for notification")
