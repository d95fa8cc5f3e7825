"""Puts the gateway together: the page, the API, and what stands before them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from serving.web.api import create_router
from serving.web.bounded_colorizer import Studio
from serving.web.jobs import Jobs
from serving.web.metrics import Metrics
from serving.web.middleware import Admission, Guarded, Lingering, Observed
from serving.web.nameless_file import Quota
from serving.web.problems import Kind, Problem, ProblemDocument, descriptions
from serving.web.settings import WebSettings

STATIC = Path(__file__).parent / "static"

_DESCRIPTION = (
    "Colours black-and-white photographs. Problems are JSON of RFC 9457. Photographs are kept in memory or in files "
    "without names, and deleted after a while, or at once with DELETE."
)
_KIND_OF_STATUS = {404: Kind.NOT_FOUND, 405: Kind.WRONG_METHOD, 400: Kind.WRONG_REQUEST}
_WORDS_OF_STATUS = {404: "This address leads nowhere"}


def create_app(settings: WebSettings, studio: Studio) -> FastAPI:
    """Return the gateway as an ASGI application; `studio` is opened and closed with it.

    Args:
        settings: limits, times, access.
        studio: colours the photographs.
    """
    metrics, quota = Metrics(), Quota(settings.limits.held_bytes)
    jobs = Jobs(studio, settings, metrics)
    metrics.watch("jobs", "Jobs that are kept.", lambda: len(jobs))
    metrics.watch("held_bytes", "Bytes of photographs that are kept.", lambda: quota.held)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await anyio.sleep(0)  # loads what it runs on, which no request should wait for
        await studio.open()
        await jobs.open()
        try:
            yield
        finally:
            await jobs.close()
            await studio.close()

    app = FastAPI(
        title="Tintype",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(create_router(settings, studio, jobs, quota, metrics))
    app.add_api_route("/", _page("index.html"), methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/docs", _page("docs.html"), methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_wrong_request)
    # The last one added is the first to see a request.
    app.add_middleware(Admission, limits=settings.limits)
    app.add_middleware(Guarded, access_token=settings.access_token)
    app.add_middleware(Lingering)
    app.add_middleware(Observed, metrics=metrics)

    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(made(), needs_token=settings.access_token is not None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _complete(schema: dict[str, Any], *, needs_token: bool) -> None:
    """Add to OpenAPI what FastAPI does not know: the problems, and the token."""
    components = schema.setdefault("components", {})
    problem = ProblemDocument.model_json_schema() | {"x-problems": descriptions()}
    components.setdefault("schemas", {})["ProblemDocument"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    if needs_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            if path not in ("/healthz", "/readyz"):
                for operation in operations.values():
                    operation["security"] = [{"token": []}]


def _page(name: str) -> Any:
    async def page() -> Response:
        return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    return page


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _answer_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _KIND_OF_STATUS.get(error.status_code, Kind.INTERNAL)
    words = _WORDS_OF_STATUS.get(error.status_code, "")
    return Problem(kind, words, headers=dict(error.headers or {})).response()


async def _answer_wrong_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"where": ".".join(map(str, found["loc"])), "what": found["msg"]} for found in error.errors()
    ]  # not what was received: it may be anything
    words = "; ".join(f"{found['where']}: {found['what']}" for found in errors[:5])
    return Problem(Kind.WRONG_REQUEST, words, errors=errors).response()
