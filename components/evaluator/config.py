"""What a candidate model has to show before it is blessed."""

from pydantic import BaseModel, ConfigDict, Field


class EvaluateConfig(BaseModel):
    """The split that is measured and the thresholds of the blessing.

    Gains are against the same photographs left gray; tolerances are against the model that is served now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: str = Field(default="eval", pattern="^(train|eval|test)$", description="the photographs that are measured")
    batch_size: int = Field(default=16, ge=1, description="photographs that the model colours at once")
    min_psnr_gain_db: float = Field(default=0.0, description="PSNR at least this many dB above the gray photo's")
    max_ab_mae_ratio: float = Field(default=1.0, gt=0, description="ab error below this share of the gray photo's")
    max_psnr_drop_db: float = Field(default=0.2, ge=0, description="PSNR at most this far below the served model's")
    grid_rows: int = Field(default=8, ge=1, le=64, description="photographs in the picture grid")
