"""What the ingestion of photographs may be told."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from photo.color import GRAY_COLORFULNESS

# What the Trainer alone reads: leaving it out of what ingestion is told keeps the cache when only that changes.
NOT_OF_INGESTION = {"size", "weights"}


class Splits(BaseModel):
    """Shares of the photographs, in parts of their sum, given to each split by a hash of the content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: int = Field(default=8, ge=1, description="what the networks learn from")
    eval: int = Field(default=1, ge=1, description="measured while training and by the Evaluator")
    test: int = Field(default=1, ge=1, description="left alone, for measurements of your own")


class DataConfig(BaseModel):
    """Which photographs are taken in, and in what form they are stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=128, ge=16, le=1024, description="side in pixels of the squares the network sees")
    max_stored_side: int = Field(
        default=512, ge=32, description="a photo whose longer side is above this is reduced before it is stored"
    )
    min_side: int = Field(default=32, ge=8, description="a photo whose shorter side is below this is left out")
    max_pixels: int = Field(
        default=100_000_000, ge=1, description="a photo above this is left out, judged from its header"
    )
    min_colorfulness: float = Field(
        default=GRAY_COLORFULNESS,
        ge=0,
        description="a photo under this (Hasler and Suesstrunk's M3) is gray and left out",
    )
    max_unreadable_share: float = Field(
        default=0.2, ge=0, le=1, description="more files than this share unreadable stop the run"
    )
    splits: Splits = Splits()
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = Field(
        default=None,
        description="how many times as often as others the Trainer draws the photographs of a folder, or of one of "
        "several sources; where several folders of a path are named, their product; null draws all alike",
    )
