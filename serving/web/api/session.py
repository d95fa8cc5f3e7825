"""POST /api/session: the access token for a cookie, which pictures and downloads of a page can send."""

from fastapi import APIRouter, Request, Response

from serving.web.api.gateway import GatewayOfApp
from serving.web.middleware.access_token import COOKIE, session_cookie
from serving.web.problems import Kind, documented

router = APIRouter()


@router.post(
    "/api/session",
    status_code=204,
    tags=["operation"],
    summary="Trade the access token for a cookie",
    responses=documented(Kind.UNAUTHORIZED, Kind.CROSS_SITE, Kind.TOO_MANY_REQUESTS, Kind.BUSY),
)
async def session(request: Request, response: Response, gateway: GatewayOfApp) -> None:
    """Give a page that was told the token a cookie, for pictures and downloads; no script can read it."""
    if gateway.settings.access_token is not None:
        response.set_cookie(
            COOKIE,
            session_cookie(gateway.settings.access_token),
            path="/api",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
