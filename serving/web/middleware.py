"""What happens around every request: headers for safety, who may come in, how many at once, counting, and the log."""

import hmac
import ipaddress
import logging
import time
import traceback
from collections import Counter
from hashlib import sha256

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.web.metrics import Metrics
from serving.web.problems import Kind, Problem
from serving.web.settings import Limits

log = logging.getLogger("serving.web")

COOKIE = "tintype_access"

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# What is no page: a browser that is led to look at it as one may do nothing with it.
_API_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "X-Frame-Options": "DENY",
}

# What of a refused upload is read before the connection is closed. Browsers read an answer only once they have sent
# all, or report a broken connection; nginx calls it lingering_close.
_LINGERING_SECONDS, _LINGERING_BYTES = 3.0, 64 * 2**20

_NEEDS_NO_TOKEN = ("/healthz", "/readyz", "/", "/docs")


class Observed:
    """Counts and logs every request by its route, without ids or names, and puts the headers for safety on."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, has_begun = time.monotonic(), 500, False

        async def observed(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                is_page = headers.get("content-type", "").startswith("text/html")
                headers["Content-Security-Policy"] = PAGE_POLICY if is_page else _API_POLICY
                if scope["path"].startswith("/api/") or status >= 400:
                    headers["Cache-Control"] = "no-store"
                elif scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-cache"  # asked for again, and answered with 304 where it is the same
            await send(message)

        failure: Exception | None = None
        broke_off = False
        try:
            await self._app(scope, receive, observed)
        except Exception as error:
            failure, broke_off = error, has_begun
            if not has_begun:
                await Problem(Kind.INTERNAL, headers={"Connection": "close"}).response()(scope, receive, observed)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "(none)")
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PATCH", "DELETE") else "(other)"
            if failure is not None:  # where it happened; its words may hold a photo's name
                frames = "".join(traceback.format_tb(failure.__traceback__))
                log.error("%s %s failed with %s at\n%s", method, route, type(failure).__name__, frames)
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            if route not in ("/healthz", "/readyz", "/metrics"):
                log.info("%s %s %d %.3f s", method, route, status, seconds)
        if broke_off:
            raise RuntimeError("an answer broke off")  # closes the connection


class Lingering:
    """Reads on for a moment where a request was answered before its body was there, then closes the connection."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            await self._app(scope, receive, send)
            return
        has_ended = False

        async def noting() -> Message:
            nonlocal has_ended
            message = await receive()
            has_ended = has_ended or not message.get("more_body", False)
            return message

        async def lingering(message: Message) -> None:
            if message["type"] == "http.response.start" and not has_ended:
                MutableHeaders(scope=message)["Connection"] = "close"
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            # Who announces 100-continue sends nothing before it is asked to.
            if not is_last or has_ended or "expect" in headers:
                await send(message)
                return
            await send({**message, "more_body": True})
            left = _LINGERING_BYTES
            with anyio.move_on_after(_LINGERING_SECONDS):
                while not has_ended and left > 0:
                    left -= len((await noting()).get("body", b""))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, noting, lingering)


class Guarded:
    """Lets in who shows the access token, if there is one, and no page of another site.

    A page cannot send a header with its pictures and streams; it trades the token for a cookie (`session_cookie`)
    that no script can read and no other site makes a browser send.
    """

    def __init__(self, app: ASGIApp, access_token: str | None):
        self._app = app
        self._token = access_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "http" and (problem := self._problem(Request(scope))):
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _problem(self, request: Request) -> Problem | None:
        path = request.url.path
        if request.method not in ("GET", "HEAD") and request.headers.get("sec-fetch-site") in (
            "cross-site",
            "same-site",
        ):
            return Problem(Kind.CROSS_SITE)
        if self._token is None or path in _NEEDS_NO_TOKEN or path.startswith("/static/"):
            return None
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), self._token.encode()):
            return None
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), session_cookie(self._token).encode()):
            return None
        return Problem(Kind.UNAUTHORIZED, headers={"WWW-Authenticate": 'Bearer realm="tintype"'})


class Admission:
    """Bounds the requests at a time, of each client and of all, before anything of their bodies is read.

    Those that carry or colour photographs count together, streams of progress by themselves; what is answered at once
    is not counted. An IPv6 client is its /64 network, of which one household has all addresses.
    """

    def __init__(self, app: ASGIApp, limits: Limits):
        self._app = app
        self._most = {
            "requests": (limits.requests, limits.requests_per_client),
            "streams": (limits.event_streams, limits.event_streams_per_client),
        }
        self._running: Counter[tuple[str, str | None]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        kind = _kind(scope) if scope["type"] == "http" else None
        if kind is None:
            await self._app(scope, receive, send)
            return
        client = _network(scope["client"][0] if scope.get("client") else "")
        most, most_of_client = self._most[kind]
        if self._running[kind, client] >= most_of_client:
            problem = Problem(Kind.TOO_MANY_REQUESTS, f"At most {most_of_client} {kind} of one client run at a time")
            await problem.response()(scope, receive, send)
            return
        if self._running[kind, None] >= most:
            await Problem(Kind.BUSY).response()(scope, receive, send)
            return
        self._running[kind, client] += 1
        self._running[kind, None] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running[kind, None] -= 1
            self._running[kind, client] -= 1
            if not self._running[kind, client]:
                del self._running[kind, client]


def session_cookie(access_token: str) -> str:
    """Return the cookie's value that stands for the token: it changes with it, and does not tell it."""
    return hmac.new(access_token.encode(), b"tintype web page", sha256).hexdigest()


def _kind(scope: Scope) -> str | None:
    path = scope["path"]
    if not path.startswith("/api/"):
        return None
    if path.endswith("/events"):
        return "streams"
    return "requests" if scope["method"] == "POST" or path.endswith(("/image", "/photos.zip")) else None


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
