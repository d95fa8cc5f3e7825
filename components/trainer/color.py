"""CIE L*a*b* in TensorFlow, for the graphs of training and serving; photo/color.py is its twin in OpenCV.

Formulae: sRGB from IEC 61966-2-1, L*a*b* from CIE 15:2004 with the white point D65 (2 degrees).
"""

import tensorflow as tf

from photo.color import RELATIVE_XYZ_OF_RGB, RGB_OF_RELATIVE_XYZ

# Where CIE joins the cube root to its tangent: (6/29)^3, and the tangent's slope there.
_EPSILON = (6 / 29) ** 3
_SLOPE = (29 / 6) ** 2 / 3
# L* = 116 f(Y) - 16, a* = 500 (f(X) - f(Y)), b* = 200 (f(Y) - f(Z)): rows X, Y, Z. A product of matrices,
# as taking the channels apart and together again was most of the time that `rgb_to_lab` took.
_F_TO_LAB = ((0.0, 500.0, 0.0), (116.0, -500.0, 200.0), (0.0, 0.0, -200.0))


def rgb_to_lab(rgb: tf.Tensor) -> tf.Tensor:
    """sRGB float32 [..., 3] in 0..1 -> L*a*b* float32 [..., 3]; L* in 0..100."""
    linear = tf.where(rgb <= 0.04045, rgb / 12.92, _power((tf.maximum(rgb, 0.04045) + 0.055) / 1.055, 2.4))
    xyz = tf.tensordot(linear, tf.constant(RELATIVE_XYZ_OF_RGB.T, tf.float32), 1)
    f = tf.where(xyz > _EPSILON, _power(tf.maximum(xyz, _EPSILON), 1 / 3), xyz * _SLOPE + 4 / 29)
    return tf.tensordot(f, tf.constant(_F_TO_LAB, tf.float32), 1) - tf.constant([16.0, 0.0, 0.0])


def lab_to_rgb(lab: tf.Tensor) -> tf.Tensor:
    """L*a*b* float32 [..., 3] -> sRGB float32 [..., 3], clipped to 0..1."""
    lightness, a, b = tf.unstack(lab, axis=-1)
    y = (lightness + 16) / 116
    f = tf.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = tf.where(f > 6 / 29, f**3, (f - 4 / 29) / _SLOPE)
    to_rgb = tf.constant(RGB_OF_RELATIVE_XYZ.T, tf.float32)
    linear = tf.clip_by_value(tf.tensordot(xyz, to_rgb, 1), 0.0, 1.0)
    return tf.where(linear <= 0.0031308, 12.92 * linear, 1.055 * tf.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def _power(base: tf.Tensor, exponent: float) -> tf.Tensor:
    """A power of positive numbers; on a CPU several times as quick as `tf.pow`."""
    return tf.exp(exponent * tf.math.log(base))
