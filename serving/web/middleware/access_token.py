"""Lets in who shows the access token, if there is one: as `Authorization: Bearer`, or as a cookie made from it."""

import hmac
import math
import time
from hashlib import sha256

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.middleware.concurrency_limit import network_of
from serving.web.problems import Kind, Problem

COOKIE = "tintype_access"

# What is asked without one: whether all is well, and the pages, with what they are drawn from.
_NEEDS_NO_TOKEN = ("/healthz", "/readyz", "/", "/docs", "/openapi.json", "/favicon.ico")


# Wrong tokens of one client: so many at once, then one in so many seconds.
_WRONG_AT_ONCE, _WRONG_SECONDS = 10, 6.0
_MOST_CLIENTS = 10_000


class RequireAccessToken:
    """Refuses who does not show the token; None lets everybody in.

    Who has shown wrong ones in a row has to wait before another one is looked at. A cookie, which nobody can guess, is
    always looked at, so that a guesser in the same network keeps nobody out who is in.

    A page cannot send a header with its pictures and streams; it trades the token for a cookie (`session_cookie`)
    that no script can read and no other site makes a browser send.
    """

    def __init__(self, app: ASGIApp, access_token: str | None):
        self._app = app
        self._token = access_token
        self._calm_at: dict[str, float] = {}  # by client, when its wrong tokens are forgotten

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "http" and self._token is not None:
            problem = self._obstacle(Request(scope), self._token)
            if problem is not None:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _obstacle(self, request: Request, token: str) -> Problem | None:
        path = request.url.path
        if path in _NEEDS_NO_TOKEN or path.startswith("/static/"):
            return None
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), session_cookie(token).encode()):
            return None
        refused = Problem(Kind.UNAUTHORIZED, headers={"WWW-Authenticate": 'Bearer realm="tintype"'})
        shown = request.headers.get("authorization")
        if shown is None:
            return refused
        client, now = network_of(request.client.host if request.client else ""), time.monotonic()
        wait = self._calm_at.get(client, 0.0) - now - (_WRONG_AT_ONCE - 1) * _WRONG_SECONDS
        if wait > 0:
            words = "Too many wrong access tokens were shown"
            return Problem(Kind.TOO_MANY_REQUESTS, words, headers={"Retry-After": str(math.ceil(wait))})
        scheme, _, word = shown.partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(word.encode(), token.encode()):
            return None
        self._note_wrong(client, now)
        return refused

    def _note_wrong(self, client: str, now: float) -> None:
        if len(self._calm_at) >= _MOST_CLIENTS:
            self._calm_at = {one: calm_at for one, calm_at in self._calm_at.items() if calm_at > now}
        self._calm_at[client] = max(self._calm_at.get(client, 0.0), now) + _WRONG_SECONDS


def session_cookie(access_token: str) -> str:
    """Return the cookie's value that stands for the token: it changes with it, and does not tell it."""
    return hmac.new(access_token.encode(), b"tintype web page", sha256).hexdigest()
