"""What every route of the API works with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serving.web.anonymous_file import Quota
from serving.web.bounded_colorizer import BoundedColorizer
from serving.web.jobs import Jobs
from serving.web.metrics import Metrics
from serving.web.settings import WebSettings


@dataclass(frozen=True)
class Gateway:
    """The parts of one gateway; `app.state.gateway` holds it."""

    settings: WebSettings
    colorizer: BoundedColorizer
    jobs: Jobs
    quota: Quota
    metrics: Metrics


async def _of_app(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayOfApp = Annotated[Gateway, Depends(_of_app)]
