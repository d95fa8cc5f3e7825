"""Lets in who shows the access token, if there is one: as `Authorization: Bearer`, or as a cookie made from it."""

import hmac
from hashlib import sha256

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.problems import Kind, Problem

COOKIE = "tintype_access"

_NEEDS_NO_TOKEN = ("/healthz", "/readyz", "/", "/docs")


class RequireAccessToken:
    """Refuses who does not show the token; None lets everybody in.

    A page cannot send a header with its pictures and streams; it trades the token for a cookie (`session_cookie`)
    that no script can read and no other site makes a browser send.
    """

    def __init__(self, app: ASGIApp, access_token: str | None):
        self._app = app
        self._token = access_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "http" and self._token is not None and not _is_let_in(Request(scope), self._token):
            problem = Problem(Kind.UNAUTHORIZED, headers={"WWW-Authenticate": 'Bearer realm="tintype"'})
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def session_cookie(access_token: str) -> str:
    """Return the cookie's value that stands for the token: it changes with it, and does not tell it."""
    return hmac.new(access_token.encode(), b"tintype web page", sha256).hexdigest()


def _is_let_in(request: Request, token: str) -> bool:
    path = request.url.path
    if path in _NEEDS_NO_TOKEN or path.startswith("/static/"):
        return True
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), token.encode()):
        return True
    return hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), session_cookie(token).encode())
