"""What the networks are made of: convolutions, and the blocks in which each has its normalisation and activation."""

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from components.trainer.config import Activation, NetworkConfig
from components.trainer.networks.initial_weights import InitialWeights
from components.trainer.networks.spectral_normalization import SpectralConv2D, SpectralConv2DTranspose

Tensor = Any  # of whichever backend Keras computes with


def activation(kind: Activation, network: NetworkConfig, name: str = "activation") -> layers.Layer:
    """The layer that a recipe calls so, with the slope that its networks have."""
    return layers.LeakyReLU(network.leaky_relu_slope, name=name) if kind == "leaky_relu" else layers.ReLU(name=name)


def dropout(rate: float, weights: InitialWeights) -> layers.Layer:
    """Dropout with a seed of its own."""
    return layers.Dropout(rate, seed=weights.seed(), name="dropout")


def convolution(
    filters: int,
    weights: InitialWeights,
    *,
    kernel_size: int = 4,
    stride: int = 2,
    transposed: bool = False,
    use_bias: bool = False,
    activation: str | None = None,
    power_iterations: int = 0,
    name: str = "convolution",
) -> layers.Layer:
    """A convolution, transposed or not, under spectral normalisation where it has `power_iterations`."""
    settings = {
        "strides": stride,
        "padding": "same",
        "use_bias": use_bias,
        "kernel_initializer": weights.kernel(),
        "name": name,
    }
    if power_iterations:
        spectral = SpectralConv2DTranspose if transposed else SpectralConv2D
        return spectral(filters, kernel_size, power_iterations=power_iterations, seed=weights.seed(), **settings)
    plain = layers.Conv2DTranspose if transposed else layers.Conv2D
    return plain(filters, kernel_size, activation=activation, **settings)


class ConvolutionBlock(layers.Layer):
    """A convolution, its normalisation and its activation."""

    def __init__(self, convolution: layers.Layer, norm: layers.Layer, activation: layers.Layer, *, name: str):
        super().__init__(name=name)
        self.convolution, self.norm, self.activation = convolution, norm, activation

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[N, H, W, C] -> [N, h, w, filters]."""
        return self.activation(self.norm(self.convolution(x), training=training))

    @property
    def layers(self) -> list[Any]:
        """Those that hold weights, as of a `keras.Model`."""
        return [self.convolution, self.norm]


class ResidualLevel(ConvolutionBlock):
    """A convolution and residual blocks after it, each two convolutions (He et al. 2016).

    Args:
        convolution, norm, activation: as of a `ConvolutionBlock`.
        convolutions, norms: of the residual blocks, two for each. A block starts as the identity (Goyal et al. 2017)
            where the gain of its second norm is 0.
    """

    def __init__(
        self,
        convolution: layers.Layer,
        norm: layers.Layer,
        activation: layers.Layer,
        *,
        convolutions: list[layers.Layer],
        norms: list[layers.Layer],
        name: str,
    ):
        super().__init__(convolution, norm, activation, name=name)
        # Two lists, not one of blocks: weights come in the order of attributes, and checkpoints know them by it.
        self.convolutions, self.norms = convolutions, norms

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[N, H, W, C] -> [N, h, w, filters]."""
        x = super().call(x, training=training)
        for first in range(0, len(self.convolutions), 2):
            second = first + 1
            inner = self.activation(self.norms[first](self.convolutions[first](x), training=training))
            x = self.activation(x + self.norms[second](self.convolutions[second](inner), training=training))
        return x

    @property
    def layers(self) -> list[Any]:
        """Those that hold weights, as of a `keras.Model`."""
        return [*super().layers, *self.convolutions, *self.norms]


class UpBlock(layers.Layer):
    """A level up: a transposed convolution, its normalisation, its dropout, its activation and the skip beside it.

    Args:
        dropout: None where the level does not drop out.
        activate_after_skip: the level is activated together with its skip.
        merge: what follows the skip; None where nothing does.
    """

    def __init__(
        self,
        convolution: layers.Layer,
        norm: layers.Layer,
        activation: layers.Layer,
        *,
        dropout: layers.Layer | None = None,
        activate_after_skip: bool = False,
        merge: ConvolutionBlock | None = None,
        name: str,
    ):
        super().__init__(name=name)
        self.convolution, self.norm, self.dropout, self.activation = convolution, norm, dropout, activation
        self.join = layers.Concatenate(name="skip")
        self.activate_after_skip = activate_after_skip
        self.merge = merge

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(self, x: Tensor, skip: Tensor, dropout_mask: Tensor | None = None, training: bool = False) -> Tensor:
        """[N, h, w, C] and the skip [N, H, W, S] -> [N, H, W, D]; factors `dropout_mask` in place of random dropout."""
        x = self.norm(self.convolution(x), training=training)
        if self.dropout is not None:
            x = self.dropout(x, training=training) if dropout_mask is None else x * dropout_mask
        x = self.activation(self.join([x, skip])) if self.activate_after_skip else self.join([self.activation(x), skip])
        return x if self.merge is None else self.merge(x, training=training)

    @property
    def layers(self) -> list[Any]:
        """Those that hold weights, as of a `keras.Model`."""
        return [self.convolution, self.norm, *([self.merge] if self.merge else [])]


def enlarge(photo: Tensor, factor: int) -> Tensor:
    """Enlarge [N, H, W, C] bilinearly by a whole factor; in TensorFlow the sides may be unknown."""
    if factor == 1:
        return photo
    if keras.backend.backend() != "tensorflow":
        return keras.ops.image.resize(photo, [side * factor for side in photo.shape[1:3]])
    import tensorflow as tf

    return tf.image.resize(photo, tf.shape(photo)[1:3] * factor)


def innermost_layers(network: Any) -> Iterator[layers.Layer]:
    """The layers of a network that hold weights, those in blocks included, in an order that the recipe decides."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from innermost_layers(layer)
        else:
            yield layer
