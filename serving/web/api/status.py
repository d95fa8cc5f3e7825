"""What operators ask: /healthz, /readyz, /metrics."""

from fastapi import APIRouter, Response

from serving.web.api.documents import StatusDocument
from serving.web.api.gateway import GatewayOfApp
from serving.web.metrics import CONTENT_TYPE
from serving.web.problems import Kind, documented

router = APIRouter(tags=["operation"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is the gateway alive?", response_model=StatusDocument)
async def healthz() -> dict[str, str]:
    """Answer at once, whatever else goes on."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Can photos be coloured?",
    response_model=StatusDocument,
    responses=documented(Kind.SERVER_AWAY),
)
async def readyz(gateway: GatewayOfApp) -> dict[str, str]:
    """Answer with a problem while the model server is away."""
    await gateway.colorizer.model()
    return {"status": "ok"}


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {CONTENT_TYPE.partition(";")[0]: {}}},
        **documented(Kind.UNAUTHORIZED),
    },
)
async def show_metrics(gateway: GatewayOfApp) -> Response:
    """Return the counters."""
    return Response(gateway.metrics.exposition(), media_type=CONTENT_TYPE)
