"""How a stored photograph becomes a training square: crops, mirror images, old age, other exposures, grain."""

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.trainer import color
from components.trainer.config import AgingConfig, AugmentationConfig
from photo.aging import age


def crop_and_flip(
    photo: NDArray[np.uint8], size: int, augmentation: AugmentationConfig, draws: np.random.Generator
) -> NDArray[np.uint8]:
    """A square of a photo at a random place, of a random side, perhaps turned and mirrored: uint8 [size, size, 3].

    Args:
        photo: uint8 [side, side, 3], the side at least `size`.
        size: in pixels.
        augmentation: how crops are drawn, and whether they are turned and mirrored.
        draws: decides.
    """
    if augmentation.rotation and draws.random() < augmentation.rotated:
        photo = _turned(photo, draws.uniform(-augmentation.rotation, augmentation.rotation))
    side = size
    if augmentation.smallest_crop < 1:
        side = int(draws.integers(round(augmentation.smallest_crop * size), photo.shape[0] + 1))
    top, left = draws.integers(0, photo.shape[0] - side + 1, 2)
    crop = photo[top : top + side, left : left + side]
    if side != size:
        interpolation = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        crop = np.asarray(cv2.resize(crop, (size, size), interpolation=interpolation), np.uint8)
    return crop[:, ::-1] if augmentation.flip and draws.random() < 0.5 else crop


def _turned(photo: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """A photo turned about its middle and enlarged until no corner is empty: uint8 of the same shape."""
    height, width = photo.shape[:2]
    angle = np.radians(abs(degrees))
    scale = np.cos(angle) + np.sin(angle) * max(height / width, width / height)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, float(scale))
    turned = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def with_aged_gray(square: NDArray[np.uint8], aging: AgingConfig, draws: np.random.Generator) -> NDArray[np.uint8]:
    """A square with a fourth channel: the gray that the network sees of it, aged in `aging.share` of all squares.

    Args:
        square: sRGB, uint8 [size, size, 3].
        aging: how often, and by what.
        draws: decides.

    Returns:
        uint8 [size, size, 4]. Where a border or a torn corner hides the photograph, its colours are that gray.
    """
    gray, hidden = age(square, aging.chances() if draws.random() < aging.share else {}, draws)
    seen = np.dstack([square, gray])
    if hidden.any():
        seen[hidden] = gray[hidden, None]
    return seen


def lightness_of_gray(gray: tf.Tensor) -> tf.Tensor:
    """The value of neutral sRGB, float32 [..., 1] in 0..1 -> L*, float32 [..., 1] in 0..100."""
    return color.rgb_to_lab(tf.repeat(gray, 3, axis=-1))[..., :1]


def spoil_lightness(lightness: tf.Tensor, augmentation: AugmentationConfig, *, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Exposure and grain of other cameras and papers; each replica's and each step's are others.

    Args:
        lightness: L*, float32 [n, H, W, 1], 0..100.
        augmentation: how far the exposure goes, and how strong the grain is.
        seed, step: decide, with the replica that this runs on.

    Returns:
        L* of the same shape.
    """
    photos = tf.shape(lightness)[0]
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group

    def draw(purpose: int) -> tf.Tensor:
        replicas_seed = tf.random.experimental.stateless_fold_in([seed, purpose], replica)
        return tf.random.experimental.stateless_fold_in(replicas_seed, step)

    if augmentation.gamma > 0:
        power = tf.random.stateless_uniform([photos, 1, 1, 1], draw(0), -augmentation.gamma, augmentation.gamma)
        lightness = 100.0 * tf.pow(tf.clip_by_value(lightness / 100.0, 0.0, 1.0), tf.exp(power))
    if augmentation.grain > 0:
        deviation = tf.random.stateless_uniform([photos, 1, 1, 1], draw(1), 0.0, augmentation.grain)
        lightness += deviation * tf.random.stateless_normal(tf.shape(lightness), draw(2))
        lightness = tf.clip_by_value(lightness, 0.0, 100.0)
    return lightness
