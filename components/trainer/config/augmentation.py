"""`train.augmentation`: how a stored photograph becomes a training square."""

from pydantic import Field

from components.trainer.config.aging import AgingConfig
from components.trainer.config.section import Section, Share


class AugmentationConfig(Section):
    """How a stored photograph becomes a training square."""

    enlarge: float = Field(
        default=1.12, ge=1, le=2, description="the photo is resized to size times this, then cropped at random"
    )
    flip: bool = Field(default=True, description="mirror left and right at random")
    smallest_crop: float = Field(
        default=1.0, gt=0, le=1, description="crops have sides from this share of size up to the whole, and are resized"
    )
    rotation: float = Field(default=0.0, ge=0, le=45, description="photographs are turned by up to this many degrees")
    rotated: Share = Field(default=1.0, description="share of the photographs that are turned")
    gamma: float = Field(
        default=0.0, ge=0, le=2, description="lightness alone is raised to a power from exp(-this) to exp(this)"
    )
    grain: float = Field(
        default=0.0, ge=0, le=50, description="lightness gets noise of a deviation of up to this, in CIE units"
    )
    aging: AgingConfig | None = Field(default=None, description="null shows photographs as they are")
