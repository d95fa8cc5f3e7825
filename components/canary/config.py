"""What the canary asks of a candidate before real traffic may reach it."""

from pydantic import BaseModel, ConfigDict, Field


class CanaryConfig(BaseModel):
    """How many requests are sent and how slow one may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: int = Field(default=8, ge=1, description="photographs that the candidate has to colour")
    max_latency_ms: float = Field(default=5000.0, gt=0, description="bound on the median request after a first one")
    startup_seconds: float = Field(default=120.0, gt=0, description="how long the server may take to load the model")
