"""A photograph's distribution of colour over the bins of `color_bins`, and what is read from it.

Formulae: soft encoding, class rebalancing and annealed mean of Zhang, Isola and Efros, "Colorful Image Colorization"
(2016), equations 2 to 5.
"""

import tensorflow as tf

# Of the Gaussian by which a colour counts for the bins around it, as a share of their spacing: 5 of 10 in the paper.
_SOFTNESS = 0.5


def soft_encode(ab: tf.Tensor, bins: tf.Tensor, spacing: float) -> tf.Tensor:
    """Colours -> shares of the bins around them, by a Gaussian of half the spacing; they sum to 1.

    The paper takes the five nearest bins; here the Gaussian does, beyond which nothing is left.

    Args:
        ab: a* and b* in CIE units, float32 [N, h, w, 2].
        bins: float32 [bins, 2].
        spacing: of the bins.

    Returns:
        float32 [N, h, w, bins].
    """
    # -|ab - bin|^2 without |ab|^2, which a softmax does not see.
    closeness = 2.0 * tf.tensordot(ab, bins, [[3], [1]]) - tf.reduce_sum(tf.square(bins), axis=1)
    return tf.nn.softmax(closeness / (2.0 * (_SOFTNESS * spacing) ** 2))


def rebalancing_weights(shares: tf.Tensor, uniform_share: float) -> tf.Tensor:
    """What each bin's pixels count for, float32 [bins]: rare colours more; the mean over photographs is 1.

    Args:
        shares: of each bin among the photographs' pixels, float32 [bins]; they sum to 1.
        uniform_share: 1 lets every pixel count the same, 0 every bin; the paper takes 0.5.
    """
    bins = tf.cast(tf.size(shares), tf.float32)
    weights = 1.0 / ((1.0 - uniform_share) * shares + uniform_share / bins)
    return weights / tf.reduce_sum(shares * weights)


def annealed_mean(logits: tf.Tensor, bins: tf.Tensor, temperature: float) -> tf.Tensor:
    """The mean colour of the sharpened distribution: float32 [N, h, w, bins] -> a* and b* [N, h, w, 2].

    Args:
        logits: of the distribution.
        bins: float32 [bins, 2].
        temperature: 1 gives the mean, which is pale, towards 0 the likeliest colour; the paper takes 0.38.
    """
    return tf.tensordot(tf.nn.softmax(logits / temperature), bins, 1)


def likely_colors(logits: tf.Tensor, bins: tf.Tensor, count: int) -> tf.Tensor:
    """The `count` likeliest colours of every place and their shares, likeliest first.

    Returns:
        a* and b*, float32 [N, h, w, count, 2], and float32 [N, h, w, count].
    """
    shares, places = tf.math.top_k(tf.nn.softmax(logits), count)
    return tf.gather(bins, places), shares


def color_spread(logits: tf.Tensor, bins: tf.Tensor) -> tf.Tensor:
    """How unsure a place's colour is: the root of the distribution's total variance, in CIE units, [N, h, w, 1]."""
    probabilities = tf.nn.softmax(logits)
    mean = tf.tensordot(probabilities, bins, 1)
    mean_square = tf.tensordot(probabilities, tf.reduce_sum(tf.square(bins), axis=1, keepdims=True), 1)
    return tf.sqrt(tf.maximum(mean_square - tf.reduce_sum(tf.square(mean), axis=-1, keepdims=True), 0.0))
