"""The losses of the conditional GAN as pure functions: each takes tensors and gives one value per photo, [N].

Beside them one reading of a whole batch, `color_diversity`.
"""

import tensorflow as tf

# Below this length a vector of colours has no direction.
_SHORTEST = 1e-6


def _per_photo(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(_flat(values), axis=1)


def _flat(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [tf.shape(values)[0], -1])


def _unit(values: tf.Tensor) -> tf.Tensor:
    """Each photo's numbers as one vector of length 1, [N, H * W * C]."""
    return tf.math.l2_normalize(_flat(values), axis=1, epsilon=_SHORTEST**2)


def _cross_entropy(target: float, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.fill(tf.shape(logits), target), logits=logits)


def real_loss(kind: str, logits: tf.Tensor, target: float = 1.0) -> tf.Tensor:
    """What the discriminator minimises on true photographs.

    Args:
        kind: `non_saturating` (cross-entropy, Goodfellow et al. 2014), `least_squares` (Mao et al. 2017) or `hinge`
            (Lim and Ye 2017).
        logits: float32 [N, h, w, 1] on them.
        target: less than 1 under label smoothing. Hinge has none.
    """
    if kind == "hinge":
        return _per_photo(tf.nn.relu(1.0 - logits))
    return _distance_from_target(kind, logits, target)


def generated_loss(kind: str, logits: tf.Tensor, target: float = 0.0) -> tf.Tensor:
    """What the discriminator minimises on generated photographs, as `real_loss` on true ones."""
    if kind == "hinge":
        return _per_photo(tf.nn.relu(1.0 + logits))
    return _distance_from_target(kind, logits, target)


def _distance_from_target(kind: str, logits: tf.Tensor, target: float) -> tf.Tensor:
    if kind == "least_squares":
        return _per_photo(tf.square(logits - target))
    return _per_photo(_cross_entropy(target, logits))


def adversarial_loss(kind: str, fake_logits: tf.Tensor) -> tf.Tensor:
    """What the generator minimises so that its photographs pass for real; `kind` as in `real_loss`."""
    if kind == "hinge":
        return -_per_photo(fake_logits)
    return _distance_from_target(kind, fake_logits, 1.0)


def called_real(kind: str, logits: tf.Tensor) -> tf.Tensor:
    """The share of each photo that the discriminator takes for real."""
    threshold = 0.5 if kind == "least_squares" else 0.0
    return _per_photo(tf.cast(logits > threshold, tf.float32))


def reconstruction_loss(
    kind: str, true: tf.Tensor, predicted: tf.Tensor, *, huber_delta: float = 1.0, log_floor: float = 1.0
) -> tf.Tensor:
    """Distance between true and predicted colour, both [N, H, W, C].

    `l1`: mean absolute difference. `l2`: mean squared difference. `huber` (Huber 1964, divided by delta): squared up to
    `huber_delta`, beyond it absolute with l1's slope. `log_l2`: the natural logarithm of 1 + l2 / `log_floor`^2, which
    above the floor is a photo's PSNR but for sign, factor and constant: halving a small error counts as much as halving
    a large one, so that photographs of little colour weigh as much as colourful ones. `cosine`: 1 - the cosine of the
    angle between the two photos as vectors, 0..2; it says nothing of their lengths.
    """
    if kind == "cosine":
        return 1.0 - tf.reduce_sum(_unit(true) * _unit(predicted), axis=1)
    difference = true - predicted
    if kind == "l2":
        return _per_photo(tf.square(difference))
    if kind == "log_l2":
        return tf.math.log1p(_per_photo(tf.square(difference)) / log_floor**2)
    distance = tf.abs(difference)
    if kind == "l1":
        return _per_photo(distance)
    near = tf.square(difference) / (2.0 * huber_delta)
    return _per_photo(tf.where(distance < huber_delta, near, distance - huber_delta / 2.0))


def distribution_loss(logits: tf.Tensor, true: tf.Tensor, bin_weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of a predicted and a true distribution of colour, each pixel weighed by its bins' weights.

    Equation 2 of Zhang et al. (2016); there the weight is that of a pixel's first bin, here the mean over its bins.

    Args:
        logits: float32 [N, h, w, bins].
        true: shares of the bins, float32 [N, h, w, bins], that sum to 1.
        bin_weights: float32 [bins].
    """
    entropy = tf.nn.softmax_cross_entropy_with_logits(labels=true, logits=logits)
    return _per_photo(entropy * tf.linalg.matvec(true, bin_weights))


def colorfulness(chroma: tf.Tensor) -> tf.Tensor:
    """How colourful each photo is: M(1) of Hasler and Süsstrunk (2003) where `chroma` is a*b*.

    The length of the standard deviations of a photo's chroma, plus 0.37 of the length of its mean.

    Args:
        chroma: float32 [N, H, W, C], zero where a pixel is gray.

    Returns:
        [N], in the chroma's unit. Its gradient is finite on a photo of one colour, too.
    """
    mean, variance = tf.nn.moments(chroma, axes=[1, 2])
    return tf.sqrt(tf.reduce_sum(variance, axis=-1) + _SHORTEST**2) + 0.37 * _length(mean)


def colorfulness_loss(true_chroma: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """What each photo lacks of the true one's colorfulness; 0 for one that is more colourful.

    After the colorfulness loss of Kang et al. (2023), which rewards colour without end.

    Args:
        true_chroma, chroma: float32 [N, H, W, C], zero where a pixel is gray.
    """
    return tf.nn.relu(colorfulness(true_chroma) - colorfulness(chroma))


def _length(vectors: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1) + _SHORTEST**2)


def color_repulsion(chroma: tf.Tensor) -> tf.Tensor:
    """How alike each photo's predicted colours are to the other photos' of the batch, 0 (unlike) to 1 (the same).

    The mean over the other photos of the cosine of the angle between the two photos' chroma as vectors, not below 0;
    0 for a batch of one.

    Args:
        chroma: float32 [N, H, W, C], zero where a pixel is gray.
    """
    vectors = _unit(chroma)
    alike = tf.nn.relu(tf.matmul(vectors, vectors, transpose_b=True))
    others = tf.cast(tf.maximum(tf.shape(vectors)[0] - 1, 1), tf.float32)
    return (tf.reduce_sum(alike, axis=1) - tf.linalg.diag_part(alike)) / others


def color_diversity(chroma: tf.Tensor, true_chroma: tf.Tensor) -> tf.Tensor:
    """How much a batch's predicted colours differ from photo to photo, as a share of how much the true ones do.

    The standard deviation over the photos at every pixel, averaged over the pixels: near 0 when the generator gives
    every photo the same colours, and 0 for a batch of one.

    Args:
        chroma, true_chroma: float32 [N, H, W, C], zero where a pixel is gray.

    Returns:
        a scalar.
    """
    spread, true_spread = (tf.reduce_mean(tf.math.reduce_std(values, axis=0)) for values in (chroma, true_chroma))
    return tf.math.divide_no_nan(spread, true_spread)
