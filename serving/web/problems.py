"""What goes wrong, as problems in JSON (RFC 9457): each has a name, an HTTP status, and says what to do."""

import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from photo.errors import PhotoError, ServerRefused, ServerUnavailable, SignatureMissing, fault_of_photo
from serving.model import signatures

MEDIA_TYPE = "application/problem+json"

# Where the page of the API says more about each.
_TYPE_PREFIX = "/docs#problem-"

# In seconds: short where somebody else's request ends soon, longer where a server has to start.
_RETRY_SOON, _RETRY_LATER = 2, 5


class Kind(StrEnum):
    """Every problem there is."""

    WRONG_REQUEST = "wrong-request"
    BROKEN_UPLOAD = "broken-upload"
    UNAUTHORIZED = "unauthorized"
    CROSS_SITE = "cross-site"
    WRONG_HOST = "wrong-host"
    NO_SUCH_ADDRESS = "no-such-address"
    NOT_FOUND = "not-found"
    WRONG_METHOD = "wrong-method"
    UPLOAD_TOO_SLOW = "upload-too-slow"
    NOT_READY = "not-ready"
    PHOTO_TOO_LARGE = "photo-too-large"
    NO_PHOTO = "no-photo"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_MANY_PHOTOS = "too-many-photos"
    BROKEN_PHOTO = "broken-photo"
    LEFT_OUT = "left-out"
    ONE_COLORING = "one-colouring"
    NO_HINTS = "no-hints"
    IN_COLOR = "in-colour"
    TOO_MANY_REQUESTS = "too-many-requests"
    INTERNAL = "internal"
    MODEL_FAILED = "model-failed"
    BUSY = "busy"
    SERVER_AWAY = "server-away"


# Status, title, and what to do about it.
_ABOUT: dict[Kind, tuple[int, str, str]] = {
    Kind.WRONG_REQUEST: (422, "The request is not as described", "See /docs for what is expected."),
    Kind.BROKEN_UPLOAD: (400, "The upload could not be read", "Send the file once more."),
    Kind.UNAUTHORIZED: (401, "An access token is needed", "Send it as Authorization: Bearer TOKEN."),
    Kind.CROSS_SITE: (403, "The request comes from another site's page", "Call the API from this site or a program."),
    Kind.WRONG_HOST: (421, "The site is not known by this name", "Its operator allows names with --allowed-host NAME."),
    Kind.NO_SUCH_ADDRESS: (404, "This address leads nowhere", "See /docs for those that there are."),
    Kind.NOT_FOUND: (404, "There is nothing here", "Jobs are deleted after a while; then send the photo again."),
    Kind.WRONG_METHOD: (405, "The method is not for this address", "See /docs for what is expected."),
    Kind.UPLOAD_TOO_SLOW: (408, "The upload took too long", "Try a faster connection or a smaller photo."),
    Kind.NOT_READY: (409, "The photo is not coloured yet", "Ask again when its state is done."),
    Kind.PHOTO_TOO_LARGE: (413, "The file is too large", "Save it smaller, as JPEG for example."),
    Kind.NO_PHOTO: (415, "This is not a photo", "Choose a JPEG, PNG, WebP, TIFF, HEIC or AVIF file."),
    Kind.TOO_MANY_PIXELS: (422, "The photo has too many pixels", "Reduce its size first."),
    Kind.TOO_MANY_PHOTOS: (422, "Too many photos at once", "Send them in several jobs."),
    Kind.BROKEN_PHOTO: (422, "The photo cannot be read", "Try another copy, or save it again in an image editor."),
    Kind.LEFT_OUT: (422, "Left out of the archive", ""),
    Kind.ONE_COLORING: (422, "This model gives one colouring only", "Leave variants at 1."),
    Kind.NO_HINTS: (422, "This model takes no hints", "Leave the hints out."),
    Kind.IN_COLOR: (422, "The photo has colour already", "Send it with color_photos=recolor to replace its colour."),
    Kind.TOO_MANY_REQUESTS: (429, "Too many requests at once", "Wait a moment, or until some of yours have ended."),
    Kind.INTERNAL: (500, "Something went wrong here", "Try again; if it stays, tell the operator."),
    Kind.MODEL_FAILED: (502, "The model could not colour this", "Tell the operator."),
    Kind.BUSY: (503, "Too much is going on", "Try again in a moment."),
    Kind.SERVER_AWAY: (503, "The colouring server is away", "Try again in a moment."),
}
_RETRY_AFTER = {Kind.TOO_MANY_REQUESTS: _RETRY_SOON, Kind.BUSY: _RETRY_SOON, Kind.SERVER_AWAY: _RETRY_LATER}


class ProblemDocument(BaseModel):
    """A problem as RFC 9457 has it."""

    type: str = Field(
        description="Names the kind of problem.",
        json_schema_extra={"enum": [f"{_TYPE_PREFIX}{kind}" for kind in Kind]},
    )
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What happened, and what to do about it.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    errors: list[dict[str, Any]] | None = Field(None, description="Of a wrong request: which parts, and why.")


class Problem(Exception):  # noqa: N818
    """Ends a request, or the work on one photograph, with a problem.

    Args:
        kind: which one.
        what: what happened, in a sentence; what to do is added.
        headers: to send along.
        errors: of a wrong request, which parts of it.
    """

    def __init__(
        self,
        kind: Kind,
        what: str = "",
        *,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ):
        self.kind = kind
        self.status, self.title, advice = _ABOUT[kind]
        self.detail = f"{_sentence(what)} {advice}".strip()
        self.errors = errors
        self.headers = dict(headers or {})
        if kind in _RETRY_AFTER:
            self.headers.setdefault("Retry-After", str(_RETRY_AFTER[kind]))
        super().__init__(self.detail)

    @property
    def retryable(self) -> bool:
        """Whether the same may succeed later."""
        return self.kind in _RETRY_AFTER

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        document: dict[str, Any] = {
            "type": f"{_TYPE_PREFIX}{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "retryable": self.retryable,
        }
        return document if self.errors is None else document | {"errors": self.errors}

    def response(self) -> Response:
        """Return it as an answer."""
        content = json.dumps(self.document(), ensure_ascii=False)
        # A name from outside may hold half of a surrogate pair, which UTF-8 has no bytes for.
        return Response(content.encode("utf-8", "replace"), self.status, self.headers, MEDIA_TYPE)


def problem_from(error: Exception) -> Problem:
    """Return what the gateway says of a photograph whose work raised `error`; what nobody foresaw is logged."""
    error = fault_of_photo(error)
    words = str(error)
    if isinstance(error, PhotoError):
        match error.reason:
            case "not_an_image":
                return Problem(Kind.NO_PHOTO, "The file begins like none that is accepted.")
            case "too_many_pixels":
                return Problem(Kind.TOO_MANY_PIXELS, words)
            case "too_many_bytes":
                return Problem(Kind.PHOTO_TOO_LARGE, words)
            case "in_color":
                return Problem(Kind.IN_COLOR, "It has colour already, and is left as it is")
            case "wrong_hints":
                return Problem(Kind.WRONG_REQUEST, words)
            case "out_of_memory":
                return Problem(Kind.BUSY, "There is not enough memory for this photo just now.")
            case "unexpected":
                return Problem(Kind.INTERNAL)  # the words may name what is inside
        return Problem(Kind.BROKEN_PHOTO, words)
    if isinstance(error, ServerUnavailable):
        return Problem(Kind.SERVER_AWAY)  # the words name an address inside
    if isinstance(error, SignatureMissing):
        return Problem(Kind.NO_HINTS if error.signature == signatures.GUIDED else Kind.ONE_COLORING)
    if isinstance(error, ServerRefused):
        if error.code == "RESOURCE_EXHAUSTED":
            return Problem(Kind.BUSY)
        return Problem(Kind.MODEL_FAILED)
    return Problem(Kind.WRONG_REQUEST, words)


def descriptions() -> dict[str, dict[str, Any]]:
    """Return by kind the status, the title and the advice, for the page of the API."""
    return {
        kind: {"status": status, "title": title, "advice": advice} for kind, (status, title, advice) in _ABOUT.items()
    }


def documented(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI should say of the answers for these problems."""
    titles: dict[int, list[str]] = {}
    headers: dict[int, dict[str, Any]] = {}
    for kind in kinds:
        titles.setdefault(_ABOUT[kind][0], []).append(_ABOUT[kind][1])
        if kind in _RETRY_AFTER:
            headers[_ABOUT[kind][0]] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
            }
    return {
        status: {
            "description": "; ".join(words),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            **({"headers": headers[status]} if status in headers else {}),
        }
        for status, words in titles.items()
    }


def _sentence(words: str) -> str:
    return words if not words or words.endswith((".", "!", "?")) else f"{words[0].upper()}{words[1:]}."
