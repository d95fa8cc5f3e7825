"""`train.loss`: what both networks minimise."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.trainer.config.section import Section


class LossConfig(Section):
    """The objectives of both networks; every term is a mean over photos.

    The generator minimises adversarial_weight * adversarial + reconstruction_weight * reconstruction +
    absolute_error_weight * l1 + colorfulness_weight * colorfulness + color_repulsion_weight * color repulsion +
    distribution_weight * distribution, the discriminator discriminator_weight * (real + generated), in one update a
    step or in two.
    """

    adversarial: Literal["non_saturating", "least_squares", "hinge"] = Field(
        default="non_saturating", description="what the two networks play against each other; cross-entropy by default"
    )
    adversarial_weight: float = Field(default=1.0, ge=0, description="0 trains the generator alone")
    adversarial_start: float = Field(
        default=0.0, ge=0, lt=1, description="share of the run in which the generator learns from reconstruction alone"
    )
    discriminator_weight: float = Field(default=0.5, gt=0, description="0.5 averages real and generated photos")
    discriminator_updates: Literal["together", "apart"] = Field(
        default="together",
        description="together: one a step, by the sum; apart: one by the real photos, then one by the generated, and "
        "the generator is judged by what came of both",
    )
    reconstruction: Literal["l1", "l2", "log_l2", "huber", "cosine"] = Field(
        default="l1", description="how the distance from the true colours is measured"
    )
    huber_delta: float = Field(
        default=15.0, gt=0, description="where huber turns from squared to absolute: CIE units of a*b*, or 8-bit steps"
    )
    log_floor: float = Field(
        default=2.0, gt=0, description="where log_l2 stops rewarding a smaller error; in the unit of huber_delta"
    )
    reconstruction_weight: float = Field(default=100.0, ge=0, description="factor on it; 0 leaves it out")
    absolute_error_weight: float = Field(
        default=0.0, ge=0, description="beside it, for each CIE unit, or 8-bit step, of a photo's mean absolute error"
    )
    colorfulness_weight: float = Field(
        default=0.0, ge=0, description="for each CIE unit, or 8-bit step, that a photo is less colourful than the truth"
    )
    color_repulsion_weight: float = Field(
        default=0.0, ge=0, description="against the same colours for every photo of a batch"
    )
    distribution_weight: float = Field(
        default=0.0, ge=0, description="on the cross-entropy of the colours' distribution; of pretrained_unet alone"
    )
    uniform_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="1 lets every pixel's distribution count the same, towards 0 rare colours count more",
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="how far the discriminator's targets are from 1 and 0, as its kind says"
    )
    label_smoothing_kind: Literal["one_sided", "two_sided"] = Field(
        default="one_sided",
        description="one_sided: real photos' target is 1 minus label_smoothing (Salimans et al. 2016); two_sided: it "
        "is 1 minus half of it, and generated photos' the other half (Szegedy et al. 2016, as Keras does)",
    )

    @model_validator(mode="after")
    def _something_is_minimised(self) -> Self:
        if not self.adversarial_weight and not self.reconstruction_weight:
            raise ValueError("adversarial_weight and reconstruction_weight must not both be 0")
        if self.adversarial_start and not self.reconstruction_weight:
            raise ValueError("adversarial_start must be 0 without a reconstruction_weight: nothing would be learned")
        if self.label_smoothing and self.adversarial == "hinge":
            raise ValueError("label_smoothing must be 0 for the hinge loss, which has no targets")
        return self

    @property
    def discriminator_targets(self) -> tuple[float, float]:
        """What the discriminator is to say of real and of generated photographs."""
        if self.label_smoothing_kind == "one_sided":
            return 1.0 - self.label_smoothing, 0.0
        return 1.0 - self.label_smoothing / 2.0, self.label_smoothing / 2.0
