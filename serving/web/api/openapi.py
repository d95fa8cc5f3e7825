"""What FastAPI cannot find out by itself for the OpenAPI document: bodies, pictures, problems, the token."""

import json
from typing import Any

from serving.web import results, uploads
from serving.web.problems import Kind, ProblemDocument, descriptions

_BINARY = {"type": "string", "format": "binary"}

_HINTS = {
    "type": "string",
    "contentMediaType": "application/json",
    "description": "Colours that are asked for, as JSON: a list of {x, y, color, radius} for one photo, or an object "
    "of file names with such lists.",
}

PICTURES: dict[str, Any] = {media_type: {} for media_type in results.MEDIA_TYPES.values()}
NOTES = {
    "X-Tintype-Notes": {
        "description": "What is to be known of the result, in words: what of the file is not coloured, colours that "
        "were replaced, what the format cannot hold.",
        "schema": {"type": "string"},
    }
}
ZIP = {"application/zip": {"schema": _BINARY}}

# Problems of routes that have more in common.
OF_UPLOAD = (
    Kind.BROKEN_UPLOAD, Kind.CROSS_SITE, Kind.UPLOAD_TOO_SLOW, Kind.PHOTO_TOO_LARGE, Kind.NO_PHOTO, Kind.BROKEN_PHOTO,
    Kind.WRONG_REQUEST, Kind.TOO_MANY_PHOTOS, Kind.TOO_MANY_REQUESTS, Kind.BUSY, Kind.SERVER_AWAY,
)  # fmt: skip
OF_JOB = (Kind.UNAUTHORIZED, Kind.NOT_FOUND, Kind.WRONG_REQUEST)
OF_RESULT = (Kind.NO_PHOTO, Kind.NOT_READY, Kind.MODEL_FAILED, Kind.TOO_MANY_REQUESTS, Kind.BUSY)

# Programs that are made from the document know these by another name than the code has for them.
_SCHEMA_NAMES = {"PhotoState": "State"}


def photo_body(description: str, *, several: bool) -> dict[str, Any]:
    """Return what the document says of a body that is a form with photos, or the bytes of one."""
    photo = {"type": "array", "items": _BINARY, "minItems": 1} if several else _BINARY
    form = {
        "schema": {
            "type": "object",
            "required": [uploads.FIELD],
            "properties": {uploads.FIELD: photo, uploads.HINTS_FIELD: _HINTS},
            "additionalProperties": False,
        }
    }
    raw = {
        media_type: {"schema": _BINARY}
        for media_type in (
            *results.MEDIA_TYPES.values(), *(["application/zip"] if several else []), "application/octet-stream"
        )
    }  # fmt: skip
    return {
        "requestBody": {"required": True, "description": description, "content": {"multipart/form-data": form, **raw}}
    }


def complete(schema: dict[str, Any], *, needs_token: bool) -> dict[str, Any]:
    """Return the document with the problems, and the token where one is asked for."""
    text = json.dumps(schema)
    for ours, published in _SCHEMA_NAMES.items():
        text = text.replace(f'/{ours}"', f'/{published}"').replace(f'"{ours}"', f'"{published}"')
    completed: dict[str, Any] = json.loads(text)
    components = completed.setdefault("components", {})
    schemas = components["schemas"] = dict(sorted(components.get("schemas", {}).items()))
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema() | {"x-problems": descriptions()}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if needs_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in completed["paths"].items():
            if path not in ("/healthz", "/readyz"):
                for operation in operations.values():
                    operation["security"] = [{"token": []}]
    return completed
