"""Refuses what a page of another site makes a browser send."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.problems import Kind, Problem

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class RefuseOtherSites:
    """Refuses requests that change something and come, as the browser says, from another site's page.

    Browsers say so by Sec-Fetch-Site, but to https and localhost alone; elsewhere the Origin must be the Host that was
    asked. Programs send neither.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if (
            scope["type"] == "http"
            and scope["method"] not in ("GET", "HEAD")
            and _is_of_other_site(Headers(scope=scope))
        ):
            await Problem(Kind.CROSS_SITE).response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_of_other_site(headers: Headers) -> bool:
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    scheme, _, place = origin.partition("://")  # RFC 6454: nothing else is in it
    port = _DEFAULT_PORTS.get(scheme, "")
    return place.lower().removesuffix(port) != headers.get("host", "").lower().removesuffix(port)
