"""`train.hints`: the hints that a training simulates."""

from pydantic import Field

from components.trainer.config.section import Section, Share


class HintsConfig(Section):
    """The hints that a training simulates, so that a user's guide the network later."""

    share_without: Share = Field(default=0.5, description="of the photographs that get no hint")
    mean_points: float = Field(default=8.0, gt=1, description="mean of the others' geometric number of hints")
    largest_patch: int = Field(default=9, ge=1, description="sides of the patches, in pixels, go from 1 to this")
