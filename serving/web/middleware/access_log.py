"""Counts and logs every request by its route, without ids or names, and answers where the gateway itself failed."""

import logging
import time
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.web.metrics import Metrics
from serving.web.problems import Kind, Problem

log = logging.getLogger("serving.web")

_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
_NOT_LOGGED = ("/healthz", "/readyz", "/metrics")  # asked for every few seconds


class AccessLog:
    """Counts and logs every request; an exception becomes the problem `internal`, or closes the connection."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, has_begun = time.monotonic(), 500, False

        async def note_status(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
            await send(message)

        failure: Exception | None = None
        broke_off = False
        try:
            await self._app(scope, receive, note_status)
        except Exception as error:
            failure, broke_off = error, has_begun
            if not has_begun:
                await Problem(Kind.INTERNAL, headers={"Connection": "close"}).response()(scope, receive, note_status)
        finally:
            self._note(scope, status, time.monotonic() - started, failure)
        if broke_off:
            raise RuntimeError("an answer broke off")  # closes the connection

    def _note(self, scope: Scope, status: int, seconds: float, failure: Exception | None) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        if failure is not None:  # where it happened; its words may hold a photo's name
            frames = "".join(traceback.format_tb(failure.__traceback__))
            log.error("%s %s failed with %s at\n%s", method, route, type(failure).__name__, frames)
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if route not in _NOT_LOGGED:
            log.info("%s %s %d %.3f s", method, route, status, seconds)
