"""Puts the gateway together: the page, the API, and what stands before them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from serving.web.anonymous_file import Quota
from serving.web.api import about, colorize, jobs, openapi, photos, session, status
from serving.web.api.gateway import Gateway
from serving.web.bounded_colorizer import BoundedColorizer
from serving.web.jobs import Jobs
from serving.web.metrics import Metrics
from serving.web.middleware.access_log import AccessLog
from serving.web.middleware.access_token import RequireAccessToken
from serving.web.middleware.allowed_hosts import RefuseOtherHosts
from serving.web.middleware.concurrency_limit import ConcurrencyLimit
from serving.web.middleware.cross_site import RefuseOtherSites
from serving.web.middleware.refused_uploads import DrainRefusedUploads
from serving.web.middleware.security_headers import SecurityHeaders
from serving.web.problems import Kind, Problem
from serving.web.settings import WebSettings

STATIC = Path(__file__).parent / "static"

_DESCRIPTION = (
    "Colours black-and-white photographs. Problems are JSON of RFC 9457. Photographs are kept in memory or in files "
    "without names, and deleted after a while, or at once with DELETE."
)
_KIND_OF_STATUS = {404: Kind.NO_SUCH_ADDRESS, 405: Kind.WRONG_METHOD, 400: Kind.WRONG_REQUEST}


def create_app(settings: WebSettings, colorizer: BoundedColorizer) -> FastAPI:
    """Return the gateway as an ASGI application; `colorizer` is opened and closed with it.

    Args:
        settings: limits, times, access.
        colorizer: colours the photographs.
    """
    metrics, quota = Metrics(), Quota(settings.limits.held_bytes)
    kept_jobs = Jobs(colorizer, settings, metrics)
    metrics.watch("jobs", "Jobs that are kept.", lambda: len(kept_jobs))
    metrics.watch(
        "model_available",
        "Whether the model answered when it was last asked (1) or not (0).",
        lambda: float(colorizer.model_is_available),
    )
    metrics.watch("held_bytes", "Bytes of photographs that are kept.", lambda: quota.held)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await anyio.sleep(0)  # loads what it runs on, which no request should wait for
        await colorizer.open()
        await kept_jobs.open()
        try:
            yield
        finally:
            await kept_jobs.close()
            await colorizer.close()

    app = _Application(
        title="Tintype",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.gateway = Gateway(settings, colorizer, kept_jobs, quota, metrics)
    for resource in (colorize, jobs, photos, session, about, status):
        app.include_router(resource.router)
    app.add_api_route("/", _page("index.html"), methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/docs", _page("docs.html"), methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/favicon.ico", _page("icon.svg"), methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_wrong_request)
    # The last one added is the first to see a request.
    app.add_middleware(ConcurrencyLimit, limits=settings.limits)
    app.add_middleware(RequireAccessToken, access_token=settings.access_token)
    app.add_middleware(RefuseOtherSites)
    app.add_middleware(RefuseOtherHosts, allowed_hosts=settings.allowed_hosts)
    app.add_middleware(DrainRefusedUploads)
    app.add_middleware(AccessLog, metrics=metrics)
    app.add_middleware(SecurityHeaders)
    return app


class _Application(FastAPI):
    """FastAPI whose OpenAPI document is complete."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        if self.openapi_schema is None:
            gateway: Gateway = self.state.gateway
            needs_token = gateway.settings.access_token is not None
            self.openapi_schema = openapi.complete(super().openapi(), needs_token=needs_token)
        return self.openapi_schema


def _page(name: str) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    return page


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _answer_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _KIND_OF_STATUS.get(error.status_code, Kind.INTERNAL)
    return Problem(kind, headers=dict(error.headers or {})).response()


async def _answer_wrong_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"where": ".".join(map(str, found["loc"])), "what": found["msg"]} for found in error.errors()
    ]  # not what was received: it may be anything
    words = "; ".join(f"{found['where']}: {found['what']}" for found in errors[:5])
    return Problem(Kind.WRONG_REQUEST, words, errors=errors).response()
