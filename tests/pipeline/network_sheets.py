"""A built network as a sheet of text, one line for each convolution or dense layer, to compare with a source's list."""

from collections.abc import Iterator

import keras
from keras import layers

from components.trainer.networks.blocks import UpBlock
from components.trainer.networks.spectral_normalization import SpectralNormalization
from components.trainer.networks.unet import UNet


def sheet(network: keras.Model) -> list[str]:
    """The lines: kernel, stride and filters, then in the order of computation all that follows.

    `conv 4x4/2 64 bias spectral*10 norm leaky 0.2` is a convolution of kernels 4x4, stride 2 and 64 filters with a
    bias under spectral normalisation by ten power iterations a step, then batch normalisation, then LeakyReLU of slope
    0.2. `up` is a transposed convolution, `valid` has no padding, `join` concatenates, `frozen` is not trained. What
    comes before the first is a line of its own.
    """
    lines = [""]
    for layer in _in_order(network):
        words = _words(layer)
        if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose | layers.Dense | keras.Model):
            lines.append(words)
        else:
            lines[-1] = f"{lines[-1]} {words}".strip()
    return [line for line in lines if line]


def receptive_field(network: keras.Model) -> int:
    """The side in pixels of what one place of the output of plain convolutions depends on."""
    side = 1
    for layer in reversed(network.layers):
        if isinstance(layer, layers.Conv2D):
            side = (side - 1) * layer.strides[0] + layer.kernel_size[0]
    return side


def _in_order(network: keras.Model) -> Iterator[layers.Layer]:
    if not isinstance(network, UNet):
        yield from network.layers
        return
    for block in [network.stem, *network.downs] if network.stem else network.downs:
        yield from (block.convolution, block.norm, block.activation)
    for block in network.ups:
        yield from _of_up_block(block)
    yield network.color


def _of_up_block(block: UpBlock) -> Iterator[layers.Layer]:
    yield from (block.convolution, block.norm)
    if block.dropout is not None:
        yield block.dropout
    yield from (block.join, block.activation) if block.activate_after_skip else (block.activation, block.join)


def _words(layer: layers.Layer) -> str:
    match layer:
        case layers.Conv2D() | layers.Conv2DTranspose():
            return _convolution(layer)
        case layers.Dense():
            return f"dense {layer.units}"
        case layers.LeakyReLU():
            return f"leaky {layer.negative_slope:g}"
        case layers.ReLU():
            return "relu"
        case layers.BatchNormalization():
            return "norm"
        case layers.Dropout():
            return f"dropout {layer.rate:g}"
        case layers.Concatenate():
            return "join"
        case layers.MaxPooling2D():
            return "pool"
        case layers.UpSampling2D():
            return "double"
        case layers.Rescaling():
            return f"*{layer.scale:g} +{layer.offset:g}"
        case keras.Model():
            return layer.name if layer.trainable else f"{layer.name} frozen"
        case layers.Identity() | layers.InputLayer() | layers.Flatten() | layers.Reshape():
            return ""
    raise AssertionError(f"no word for {layer}")


def _convolution(layer: layers.Conv2D | layers.Conv2DTranspose) -> str:
    (height, width), (stride, _) = layer.kernel_size, layer.strides
    words = ["up" if isinstance(layer, layers.Conv2DTranspose) else "conv", f"{height}x{width}/{stride}"]
    words.append(str(layer.filters))
    words += ["valid"] if layer.padding == "valid" else []
    words += ["bias"] if layer.use_bias else []
    words += [f"spectral*{layer.power_iterations}"] if isinstance(layer, SpectralNormalization) else []
    activation = layer.activation.__name__
    return " ".join(words + ([] if activation == "linear" else [activation]))
