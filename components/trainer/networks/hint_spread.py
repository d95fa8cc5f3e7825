"""What a hint changes: the colour of places that look alike to the network, and are near."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from components.trainer.networks.blocks import Tensor

# The weight of the colour that the network gives by itself, beside 1 of a hint on a place that is the hint's own.
_OWN_WEIGHT = 0.1
# More hinted cells than these say nothing new. Cells that are hinted in part count first: those of single pixels.
_MOST_CELLS = 512
# How alike two places are starts from these factors, and is learned: on what the network knows of them, on its own
# colour for them, and on where they are.
_FEATURE_LENGTH, _COLOR_LENGTH, _PLACE_LENGTH = 2.0, 2.5, 2.0


class HintSpread(layers.Layer):
    """Attention from every cell of a photo to the hinted ones, on the colour that the network lacks there.

    A cell gets the mean of what the hinted cells lack, each weighed by exp(-d^2), with d the distance of the two cells'
    projections; the network's own colour has a weight of its own, so that what looks like no hint keeps it. Levin et
    al. (2004) spread scribbles along likeness of lightness; here likeness is learned, as in Vaswani et al. (2017).

    Args:
        norm: of the features, a batch normalisation.
        features: how many the decoder has for each cell.
    """

    def __init__(self, norm: layers.Layer, features: int, *, name: str):
        super().__init__(name=name, dtype="float32")
        lengths = [_FEATURE_LENGTH / features**0.5] * features + [_COLOR_LENGTH] * 2 + [_PLACE_LENGTH] * 2
        kernel = keras.initializers.Constant(np.diag(lengths))
        self.norm = norm
        self.project = layers.Dense(
            len(lengths), use_bias=False, kernel_initializer=kernel, dtype="float32", name="project"
        )
        # A network without hints is whole, too.
        self.norm.build((None, None, None, features))
        self.project.build((None, None, None, len(lengths)))

    def call(self, features: Tensor, color: Tensor, hints: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Spread what the hints ask for.

        Args:
            features: what the decoder knows of each cell, [N, h, w, C].
            color: what the network gives by itself, averaged over the cells, in the hints' unit, [N, h, w, 2].
            hints: the mean colour that is asked for in each cell, and the share of the cell that is, [N, h, w, 3].
            training: normalise by the batch.

        Returns:
            what is to be added to the colour of each cell, [N, h, w, 2], and how much the hints decide there, 0..1,
            [N, h, w, 1]; both 0 without hints.
        """
        features, color, hints = (ops.cast(each, "float32") for each in (features, color, hints))
        _, height, width, _ = ops.shape(features)
        cells = height * width
        places = ops.broadcast_to(_places(height, width), ops.shape(color))
        known = ops.concatenate([self.norm(features, training=training), color, places], axis=-1)
        projected = ops.reshape(self.project(known), [-1, cells, self.project.units])

        share = ops.reshape(hints[..., 2], [-1, cells])
        lacking = ops.reshape(hints[..., :2] - color, [-1, cells, 2])
        priority, chosen = ops.top_k(ops.where(share > 0, 2.0 - share, 0.0), ops.minimum(cells, _MOST_CELLS))
        is_hint = ops.cast(priority > 0, "float32")[:, None]
        keys, values = (ops.take_along_axis(each, chosen[..., None], axis=1) for each in (projected, lacking))

        weights = ops.exp(-_squared_distances(projected, keys)) * is_hint
        total = ops.sum(weights, axis=-1, keepdims=True)
        added = ops.matmul(weights, values * is_hint[:, 0, :, None]) / (total + _OWN_WEIGHT)
        return (
            ops.reshape(added, [-1, height, width, 2]),
            ops.reshape(total / (total + _OWN_WEIGHT), [-1, height, width, 1]),
        )

    @property
    def layers(self) -> list[Any]:
        """Those that hold weights, as of a `keras.Model`."""
        return [self.norm, self.project]


def _places(height: Tensor, width: Tensor) -> Tensor:
    """Row and column of each cell, as shares of the longer side: [1, h, w, 2]."""
    longer = ops.cast(ops.maximum(height, width), "float32")
    rows, columns = (ops.cast(ops.arange(length), "float32") / longer for length in (height, width))
    return ops.stack(ops.meshgrid(rows, columns, indexing="ij"), axis=-1)[None]


def _squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """[N, i, D] and [N, j, D] -> [N, i, j]."""
    of_one, of_other = (ops.sum(ops.square(each), axis=-1) for each in (one, other))
    products = ops.matmul(one, ops.transpose(other, [0, 2, 1]))
    return ops.maximum(of_one[:, :, None] + of_other[:, None] - 2.0 * products, 0.0)
