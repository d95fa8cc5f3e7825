"""Answers under the names it knows alone, so that no other site's name can be made to lead here (DNS rebinding)."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.problems import Kind, Problem

_ASKED_BY_OPERATORS = ("/healthz", "/readyz")  # by whatever name they know it; there is nothing to see


class RefuseOtherHosts:
    """Refuses requests whose Host is a name that was not allowed.

    Addresses always may: a page that a browser has from an address comes from there. So may localhost and names below
    it, which lead to this machine alone.

    Args:
        app: answers the others.
        allowed_hosts: further names; "*" allows any.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: tuple[str, ...]):
        self._app = app
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "http" and scope["path"] not in _ASKED_BY_OPERATORS:
            host = Headers(scope=scope).get("host")
            if host is not None and not self._is_allowed(host):
                await Problem(Kind.WRONG_HOST).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_allowed(self, host: str) -> bool:
        if "*" in self._allowed:
            return True
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        name = name.rstrip(".")
        if name in self._allowed or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
