"""What the sections of the config share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Filters = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Activation = Literal["relu", "leaky_relu"]


class Section(BaseModel):
    """Refuses unknown fields and later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
