"""`train.augmentation.aging`: how often what old photographs have gone through is shown to the network."""

from pydantic import Field

from components.trainer.config.section import Section, Share


class AgingConfig(Section):
    """What the network sees of aged photographs: `share` of all are aged, and each effect befalls its share of these.

    Effects change the gray alone, and the true colours stay. Only where a border or a torn corner has taken the
    photograph's place, the true colour is that gray.
    """

    share: Share = Field(default=0.5, description="of all photographs that are aged at all")
    plate: Share = Field(default=0.5, description="blue-sensitive and orthochromatic plates: other mixes of light")
    halation: Share = Field(default=0.15, description="a glow around highlights")
    blur: Share = Field(default=0.25, description="out of focus")
    contrast: Share = Field(default=0.3, description="soft and hard negatives, over- and underexposed")
    grain: Share = Field(default=0.4, description="clumps of silver")
    fading: Share = Field(default=0.3, description="gray blacks, dull whites, edges more than the middle")
    toning: Share = Field(default=0.15, description="middle tones that toning has moved, unevenly")
    stains: Share = Field(default=0.1, description="blots and the rims of dried water")
    scratches: Share = Field(default=0.15, description="thin lines, light or dark")
    dust: Share = Field(default=0.2, description="specks and hairs")
    torn_corners: Share = Field(default=0.05, description="corners that are gone")
    paper_border: Share = Field(default=0.1, description="a frame of white paper or black film")
    halftone: Share = Field(default=0.05, description="the screen of a printed page")
    jpeg: Share = Field(default=0.3, description="JPEG of poor quality")

    def chances(self) -> dict[str, float]:
        """The shares by effect, as `photo.aging.age` takes them."""
        return self.model_dump(exclude={"share"})
