"""Where a blessed model goes and how many versions stay there."""

from pydantic import BaseModel, ConfigDict, Field


class PushConfig(BaseModel):
    """The serving base path and its housekeeping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    destination: str | None = Field(
        default=None, description="the serving base path; <out>/serving/<model name> when not given"
    )
    keep_versions: int = Field(default=3, ge=1, description="older versions beyond this number are removed")
