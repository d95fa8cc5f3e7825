"""What a candidate model has to show before it is blessed."""

from pydantic import BaseModel, ConfigDict, Field


class Thresholds(BaseModel):
    """What a group of photographs must be coloured like; gains and shares are against the same ones left gray."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_psnr_gain_db: float = Field(default=0.0, description="PSNR at least this many dB above the gray photo's")
    max_ab_mae_ratio: float = Field(default=1.0, gt=0, description="ab error below this share of the gray photo's")
    max_left_gray: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="the largest share of photographs that may be left gray, with under a quarter of the true chroma",
    )
    min_colorfulness_ratio: float = Field(
        default=0.0, ge=0, description="colorfulness at least this share of the truth's"
    )
    max_colorfulness_ratio: float | None = Field(
        default=None, gt=0, description="colorfulness at most this share of the truth's; null for any"
    )


class LabelThresholds(Thresholds):
    """What every label (folder) must show by itself, so that no mean hides that people, say, are left gray."""

    min_photographs: int = Field(default=10, ge=1, description="a label with fewer is not judged: chance would decide")


class EvaluateConfig(Thresholds):
    """The split that is measured and the thresholds of the blessing.

    Gains are against the same photographs left gray; tolerances are against the model that is served now.
    """

    split: str = Field(default="eval", pattern="^(train|eval|test)$", description="the photographs that are measured")
    batch_size: int = Field(default=16, ge=1, description="photographs that the model colours at once")
    max_psnr_drop_db: float = Field(default=0.2, ge=0, description="PSNR at most this far below the served model's")
    max_label_drop_db: float | None = Field(
        default=None,
        ge=0,
        description="PSNR of every label at most this far below the served model's on the same photographs; labels "
        "with fewer than each_label.min_photographs (10 without each_label) are not judged; null judges none",
    )
    each_label: LabelThresholds | None = Field(default=None, description="null judges all photographs together only")
    grid_rows: int = Field(default=8, ge=1, le=64, description="photographs in the picture grid")
