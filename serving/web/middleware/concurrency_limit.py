"""Bounds how many requests run at a time, of each client and of all, before anything of their bodies is read."""

import ipaddress
from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.problems import Kind, Problem
from serving.web.settings import Limits


class ConcurrencyLimit:
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
        client = network_of(scope["client"][0] if scope.get("client") else "")
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


def _kind(scope: Scope) -> str | None:
    path = scope["path"]
    if not path.startswith("/api/"):
        return None
    if path.endswith("/events"):
        return "streams"
    return (
        "requests" if scope["method"] == "POST" or path.endswith(("/image", "/likely-colors", "/photos.zip")) else None
    )


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
