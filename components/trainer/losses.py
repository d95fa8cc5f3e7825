"""The losses of the conditional GAN as pure functions: each takes tensors and gives one value per example, [N]."""

import tensorflow as tf


def _per_example(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.reshape(values, [tf.shape(values)[0], -1]), axis=1)


def _cross_entropy(target: float, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.fill(tf.shape(logits), target), logits=logits)


def discriminator_loss(kind: str, real_logits: tf.Tensor, fake_logits: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    """What the discriminator minimises, real and fake averaged.

    Args:
        kind: `non_saturating` (cross-entropy, Goodfellow et al. 2014) or `hinge` (Lim and Ye 2017).
        real_logits: float32 [N, h, w, 1] on true photographs.
        fake_logits: float32 [N, h, w, 1] on generated ones.
        label_smoothing: one-sided (Salimans et al. 2016), of cross-entropy: real photos' target is 1 - this.
    """
    if kind == "hinge":
        return 0.5 * (_per_example(tf.nn.relu(1.0 - real_logits)) + _per_example(tf.nn.relu(1.0 + fake_logits)))
    real = _per_example(_cross_entropy(1.0 - label_smoothing, real_logits))
    return 0.5 * (real + _per_example(_cross_entropy(0.0, fake_logits)))


def adversarial_loss(kind: str, fake_logits: tf.Tensor) -> tf.Tensor:
    """What the generator minimises so that its photographs pass for real; `kind` as in `discriminator_loss`."""
    if kind == "hinge":
        return -_per_example(fake_logits)
    return _per_example(_cross_entropy(1.0, fake_logits))


def reconstruction_loss(kind: str, true: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """Distance between true and predicted colour [N, H, W, C]: `l1` mean absolute, `l2` mean squared."""
    difference = true - predicted
    return _per_example(tf.square(difference) if kind == "l2" else tf.abs(difference))
