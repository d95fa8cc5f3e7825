"""GET /api/about: the model, and what is taken."""

from typing import Any

from fastapi import APIRouter

from serving.web import results
from serving.web.api.documents import AboutDocument
from serving.web.api.gateway import GatewayOfApp
from serving.web.problems import Kind, Problem, documented
from serving.web.settings import MOST_VARIANTS

router = APIRouter()


@router.get(
    "/api/about",
    tags=["operation"],
    summary="Model and limits",
    response_model=AboutDocument,
    responses=documented(Kind.UNAUTHORIZED),
)
async def about(gateway: GatewayOfApp) -> dict[str, Any]:
    """Return what the page needs to know."""
    try:
        model = (await gateway.colorizer.model()).recipe
    except Problem:
        model = None
    limits = gateway.settings.limits
    return {
        "model": model,
        "limits": {
            "photo_bytes": limits.photo_bytes,
            "pixels": limits.pixels,
            "photos": limits.photos,
            "archive_bytes": limits.archive_bytes,
            "variants": MOST_VARIANTS,
        },
        "formats": list(results.MEDIA_TYPES.values()),
        "keep_seconds": gateway.settings.keep_seconds,
        "keep_after_download_seconds": gateway.settings.keep_after_download_seconds,
    }
