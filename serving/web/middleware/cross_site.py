"""Refuses what a page of another site makes a browser send."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.problems import Kind, Problem


class RefuseOtherSites:
    """Refuses requests that change something and come, as the browser says, from another site's page."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if (
            scope["type"] == "http"
            and scope["method"] not in ("GET", "HEAD")
            and Headers(scope=scope).get("sec-fetch-site") in ("cross-site", "same-site")
        ):
            await Problem(Kind.CROSS_SITE).response()(scope, receive, send)
            return
        await self._app(scope, receive, send)
