"""What the generator minimises: a table of terms, each with its weight from the config and its formula in `losses`."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from components.trainer import losses
from components.trainer.config import LossConfig
from components.trainer.network_range import NetworkRange


@dataclasses.dataclass(frozen=True)
class JudgedBatch:
    """What the terms are computed from.

    Attributes:
        true, predicted: colours in the networks' numbers, float32 [n, H, W, c].
        logits: the discriminator's on the predicted ones, float32 [n, h, w, 1]; None where it was not asked.
        bins: the distribution of colour; None where the generator tells none.
    """

    true: tf.Tensor
    predicted: tf.Tensor
    logits: tf.Tensor | None = None
    bins: "BinnedBatch | None" = None


@dataclasses.dataclass(frozen=True)
class BinnedBatch:
    """The distribution of colour, float32 [n, h, w, bins]: as predicted and, as shares, the true one.

    Attributes:
        weights: of the bins, float32 [bins].
    """

    logits: tf.Tensor
    true: tf.Tensor
    weights: tf.Tensor


@dataclasses.dataclass(frozen=True)
class LossTerm:
    """One summand of the loss.

    Attributes:
        name: what its value is called in the readings of a training.
        weight: 0 leaves it out of the loss.
        value: the batch -> one value a photo, [n], before the weight.
        always: it is read although its weight is 0.
        adversarial: it needs the discriminator's logits.
        binned: it needs the distribution of colour.
    """

    name: str
    weight: float
    value: Callable[[JudgedBatch], tf.Tensor]
    always: bool = False
    adversarial: bool = False
    binned: bool = False

    def counts(self, *, adversarial: bool) -> bool:
        """Whether it is computed in a step with or without the discriminator."""
        return adversarial if self.adversarial else self.always or self.weight > 0


def generator_terms(loss: LossConfig, network_range: NetworkRange) -> tuple[LossTerm, ...]:
    """The table. Distances in colour are weighed by the CIE unit of a*b*, or by the 8-bit step of sRGB.

    Args:
        loss: kinds and weights.
        network_range: what the networks' numbers mean.
    """
    step, chroma = network_range.from_steps, network_range.chroma

    def reconstruction(batch: JudgedBatch) -> tf.Tensor:
        return losses.reconstruction_loss(
            loss.reconstruction,
            batch.true,
            batch.predicted,
            huber_delta=step(loss.huber_delta),
            log_floor=step(loss.log_floor),
        )

    def adversarial(batch: JudgedBatch) -> tf.Tensor:
        return losses.adversarial_loss(loss.adversarial, batch.logits)

    def absolute_error(batch: JudgedBatch) -> tf.Tensor:
        return losses.reconstruction_loss("l1", batch.true, batch.predicted) / step(1.0)

    def colorfulness(batch: JudgedBatch) -> tf.Tensor:
        return losses.colorfulness_loss(chroma(batch.true), chroma(batch.predicted)) / step(1.0)

    def repulsion(batch: JudgedBatch) -> tf.Tensor:
        return losses.color_repulsion(chroma(batch.predicted))

    def distribution(batch: JudgedBatch) -> tf.Tensor:
        assert batch.bins is not None, "the config asks for it only where the generator tells it"
        return losses.distribution_loss(batch.bins.logits, batch.bins.true, batch.bins.weights)

    terms = (
        LossTerm("reconstruction_loss", loss.reconstruction_weight, reconstruction, always=True),
        LossTerm("adversarial_loss", loss.adversarial_weight, adversarial, adversarial=True),
        LossTerm("absolute_error", loss.absolute_error_weight, absolute_error),
        LossTerm("colorfulness_loss", loss.colorfulness_weight, colorfulness),
        LossTerm("color_repulsion", loss.color_repulsion_weight, repulsion),
    )
    if not loss.distribution_weight:  # most generators tell none, and their trainings have no such reading
        return terms
    return (*terms, LossTerm("distribution_loss", loss.distribution_weight, distribution, binned=True))
