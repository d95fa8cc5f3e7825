"""What both networks would pay for photographs that they do not learn from: curves that show overfitting."""

import keras
import tensorflow as tf

from components.trainer import losses
from components.trainer.colorings import color_photos
from components.trainer.gan import ColorGan
from components.trainer.generator_loss import JudgedBatch

_BATCH = 16


class HeldOutLosses:
    """The losses of a training on held-out photographs, with the averaged generator, as it is served.

    Both networks are asked as they are after training: no dropout but what the recipe is served with, and batch
    normalisation by the moving statistics.

    Args:
        gan: in training.
    """

    def __init__(self, gan: ColorGan):
        self._gan = gan
        loss = gan.config.train.loss
        self._judge = gan.discriminator if loss.adversarial_weight > 0 else None
        self._terms = [term for term in gan.terms if term.counts(adversarial=self._judge is not None)]

    def measure(self, rgb: tf.Tensor) -> dict[str, float]:
        """Measure photographs.

        Args:
            rgb: uint8 [N, S, S, 3]. They are taken sixteen at a time, which a term of whole batches depends on.

        Returns:
            `held_out_` and the name of the mean of each term of the generator's loss, unweighted; of `generator_loss`
            where none of its terms needs the distribution of colour, which is not asked for here; and where there is a
            discriminator, of its loss, its precision and its recall.
        """
        chunks = [self._per_photo(rgb[start : start + _BATCH]) for start in range(0, len(rgb), _BATCH)]
        means = {
            name: float(tf.reduce_mean(tf.concat([chunk[name] for chunk in chunks], axis=0))) for name in chunks[0]
        }
        if self._judge is not None:
            means |= scores(means.pop("real_called_real"), means.pop("generated_called_real"))
        return {f"held_out_{name}": value for name, value in means.items()}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def _per_photo(self, rgb: tf.Tensor) -> dict[str, tf.Tensor]:
        gan, loss = self._gan, self._gan.config.train.loss
        gray, true = gan.range.split(tf.cast(rgb, tf.float32) / 255.0)
        predicted = color_photos(gan.averaged, gan.config.network, gray)
        logits = None if self._judge is None else _logits(self._judge, gray, predicted)
        batch = JudgedBatch(true, predicted, logits)
        values = {term.name: term.value(batch) for term in self._terms if not term.binned}
        if not any(term.binned for term in self._terms):
            values["generator_loss"] = sum(term.weight * values[term.name] for term in self._terms)
        if self._judge is not None:
            real_logits, (real_target, generated_target) = _logits(self._judge, gray, true), loss.discriminator_targets
            objective = losses.real_loss(loss.adversarial, real_logits, real_target) + losses.generated_loss(
                loss.adversarial, logits, generated_target
            )
            values |= {
                "discriminator_loss": loss.discriminator_weight * objective,
                "real_called_real": losses.called_real(loss.adversarial, real_logits),
                "generated_called_real": losses.called_real(loss.adversarial, logits),
            }
        return values


def _logits(judge: keras.Model, gray: tf.Tensor, color: tf.Tensor) -> tf.Tensor:
    return tf.cast(judge([gray, color], training=False), tf.float32)


def scores(real_called_real: float, generated_called_real: float) -> dict[str, float]:
    """The discriminator's precision and recall in finding real photographs among as many generated ones.

    Args:
        real_called_real, generated_called_real: shares of either that it takes for real.

    Returns:
        `discriminator_precision`: of what it calls real, the share that is; 0 where it calls nothing so.
        `discriminator_recall`: of what is real, the share that it calls so.
    """
    called = real_called_real + generated_called_real
    return {
        "discriminator_precision": real_called_real / called if called else 0.0,
        "discriminator_recall": real_called_real,
    }
