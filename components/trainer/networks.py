"""The networks of the conditional GAN, built from the level lists of a recipe.

Keras alone, so that they can be trained on another backend, but for two fast paths of TensorFlow.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
from absl import logging
from keras import layers

from components.trainer.batch_normalization import BatchNormalization
from components.trainer.config import (
    Activation,
    ClassifierDiscriminatorConfig,
    ConvolutionConfig,
    NetworkConfig,
    PatchDiscriminatorConfig,
    ResidualUNetConfig,
    TrainerConfig,
    UNetConfig,
    ValidUNetConfig,
    Vgg16Config,
)
from components.trainer.spectral_normalization import SpectralConv2D, SpectralConv2DTranspose
from photo.errors import TintypeError

LEAK = 0.2
# What Keras subtracts from 0..255 before VGG-16, blue, green, red: the means of ImageNet.
_VGG16_MEANS = (103.939, 116.779, 123.68)


class UNet(keras.Model):
    """The U-Net of a level list: gray [N, H, W, g] -> colour [N, H, W, c] in -1..1; sides multiples of its stride."""

    def __init__(self, network: NetworkConfig, *, batch_norm_momentum: float, seed: int):
        super().__init__(name="generator")
        self._settings = config = network.generator
        draws = _Draws(network, seed)

        def convolution(filters: int, name: str, **settings) -> layers.Layer:
            return _convolution(
                filters,
                2,
                config.spectral_norm_iterations,
                draws,
                name=name,
                kernel_size=config.kernel_size,
                **settings,
            )

        def norm(name: str, wanted: bool) -> layers.Layer:
            if not wanted:
                return layers.Identity(name=name)
            return BatchNormalization(
                momentum=batch_norm_momentum,
                name=name,
                photo_statistics_at_inference=config.photo_statistics_at_inference,
            )

        self.stem = None
        if config.stem_filters is not None:
            self.stem = layers.Conv2D(config.stem_filters, 1, kernel_initializer=draws.kernel(), name="stem")
            self.stem_activation = _activation("leaky_relu", "stem_relu")
        last = len(config.down_filters) - 1
        self.downs, self.down_norms, self.down_activations = [], [], []
        for level, filters in enumerate(config.down_filters):
            has_norm = (level > 0 or self.stem is not None) and (level < last or config.batch_norm_bottleneck)
            activation = config.bottleneck_activation if level == last else "leaky_relu"
            self.downs.append(convolution(filters, f"down_{level}", use_bias=config.use_bias))
            self.down_norms.append(norm(f"down_{level}_norm", has_norm))
            self.down_activations.append(_activation(activation, f"down_{level}_relu"))
        self.ups, self.up_norms, self.dropouts, self.up_activations, self.joins = [], [], [], [], []
        for level, filters in enumerate(config.up_filters):
            self.ups.append(convolution(filters, f"up_{level}", transposed=True, use_bias=config.use_bias))
            self.up_norms.append(norm(f"up_{level}_norm", config.batch_norm_up))
            if level < config.dropout_levels:
                self.dropouts.append(layers.Dropout(config.dropout, seed=draws.seed(), name=f"up_{level}_dropout"))
            self.up_activations.append(_activation(config.up_activation, f"up_{level}_relu"))
            self.joins.append(layers.Concatenate(name=f"up_{level}_skip"))
        if self.stem is None:
            self.color = layers.Conv2DTranspose(
                network.color_channels,
                config.kernel_size,
                strides=2,
                padding="same",
                activation="tanh",
                kernel_initializer=draws.kernel(),
                name="color",
            )
        else:
            self.color = layers.Conv2D(
                network.color_channels, 1, activation="tanh", kernel_initializer=draws.kernel(), name="color"
            )

    def call(self, gray, masks: Sequence | None = None, training: bool = False):
        """Colour a batch.

        Args:
            gray: float32 [N, H, W, g].
            masks: in place of random dropout, a factor for each level that drops out: float32 tensors of the shapes
                that `dropout_shapes` tells, with a first axis of N or 1.
            training: drop out at random and normalise by the batch.
        """
        x, skips = gray, []
        if self.stem is not None:
            x = self.stem_activation(self.stem(x))
            skips.append(x)
        for convolution, norm, activation in zip(self.downs, self.down_norms, self.down_activations, strict=True):
            x = activation(norm(convolution(x), training=training))
            skips.append(x)
        levels = zip(self.ups, self.up_norms, self.up_activations, self.joins, reversed(skips[:-1]), strict=True)
        for level, (convolution, norm, activation, join, skip) in enumerate(levels):
            x = norm(convolution(x), training=training)
            if level < len(self.dropouts):
                x = x * masks[level] if masks is not None else self.dropouts[level](x, training=training)
            x = activation(join([x, skip])) if self._settings.activate_after_skip else join([activation(x), skip])
        return self.color(x)

    def dropout_shapes(self, height, width) -> list[tuple]:
        """Shapes (height, width, channels) of the levels that drop out, for a photo of these sides."""
        return _dropout_shapes(self._settings, height, width)


class ResidualUNet(keras.Model):
    """The U-Net of `ResidualUNetConfig`: gray [N, H, W, g] -> colour [N, H, W, c] in -1..1."""

    def __init__(self, network: NetworkConfig, *, batch_norm_momentum: float, seed: int):
        super().__init__(name="generator")
        self._settings = config = network.generator
        draws = _Draws(network, seed)

        def convolution(filters: int, kernel_size: int, name: str, *, transposed: bool = False) -> layers.Layer:
            return _convolution(
                filters,
                2 if kernel_size == 4 else 1,
                0,
                draws,
                name=name,
                kernel_size=kernel_size,
                transposed=transposed,
            )

        def norm(name: str, gain: str = "ones") -> layers.Layer:
            return BatchNormalization(momentum=batch_norm_momentum, gamma_initializer=gain, name=f"{name}_norm")

        self.downs, self.down_norms = [], []
        # Two convolutions and their norms for each residual block, by level. A block starts as the identity (Goyal et
        # al. 2017): the gain of its last norm is 0.
        self.blocks, self.block_norms = [], []
        for level, (filters, count) in enumerate(zip(config.down_filters, config.residual_blocks, strict=True)):
            self.downs.append(convolution(filters, 4, f"down_{level}"))
            self.down_norms.append(norm(f"down_{level}"))
            places = [(f"down_{level}_block_{block}_{place}", place) for block in range(count) for place in (0, 1)]
            self.blocks.append([convolution(filters, 3, name) for name, _ in places])
            self.block_norms.append([norm(name, "zeros" if place else "ones") for name, place in places])
        self.ups, self.up_norms, self.dropouts, self.merges, self.merge_norms = [], [], [], [], []
        for level, filters in enumerate(config.up_filters):
            self.ups.append(convolution(filters, 4, f"up_{level}", transposed=True))
            self.up_norms.append(norm(f"up_{level}"))
            if level < config.dropout_levels:
                self.dropouts.append(layers.Dropout(config.dropout, seed=draws.seed(), name=f"up_{level}_dropout"))
            self.merges.append(convolution(filters, 3, f"up_{level}_merge"))
            self.merge_norms.append(norm(f"up_{level}_merge"))
        self.activation = _activation("leaky_relu", "relu")
        self.join = layers.Concatenate(name="skip")
        self.color = layers.Conv2D(
            network.color_channels,
            3,
            padding="same",
            activation="tanh",
            kernel_initializer=draws.kernel(),
            name="color",
        )

    def call(self, gray, masks: Sequence | None = None, training: bool = False):
        """Colour a batch; arguments as of `UNet.call`."""
        activation = self.activation
        x, skips = gray, []
        for down, down_norm, convolutions, norms in zip(
            self.downs, self.down_norms, self.blocks, self.block_norms, strict=True
        ):
            x = activation(down_norm(down(x), training=training))
            for place in range(0, len(convolutions), 2):
                inner = activation(norms[place](convolutions[place](x), training=training))
                x = activation(x + norms[place + 1](convolutions[place + 1](inner), training=training))
            skips.append(x)
        levels = zip(self.ups, self.up_norms, self.merges, self.merge_norms, strict=True)
        for level, (up, up_norm, merge, merge_norm) in enumerate(levels):
            x = up_norm(up(x), training=training)
            if level < len(self.dropouts):
                x = x * masks[level] if masks is not None else self.dropouts[level](x, training=training)
            x = self.join([activation(x), skips[-2 - level]])
            x = activation(merge_norm(merge(x), training=training))
        return _enlarge(self.color(x), self._settings.color_stride)

    def dropout_shapes(self, height, width) -> list[tuple]:
        """As `UNet.dropout_shapes`."""
        return _dropout_shapes(self._settings, height, width)


def _enlarge(photo, factor: int):
    """Enlarge [N, H, W, C] bilinearly by a whole factor; in TensorFlow the sides may be unknown."""
    if keras.backend.backend() != "tensorflow":
        return keras.ops.image.resize(photo, [side * factor for side in photo.shape[1:3]])
    import tensorflow as tf

    return tf.image.resize(photo, tf.shape(photo)[1:3] * factor)


def _dropout_shapes(config: UNetConfig | ResidualUNetConfig, height, width) -> list[tuple]:
    levels = len(config.down_filters)
    return [
        (height // 2 ** (levels - level - 1), width // 2 ** (levels - level - 1), filters)
        for level, filters in enumerate(config.up_filters[: config.dropout_levels])
    ]


def build_generator(network: NetworkConfig, *, batch_norm_momentum: float, seed: int) -> keras.Model:
    """The generator of a recipe with weights drawn by the seed: gray [N, H, W, g] -> colour [N, H, W, c]."""
    match network.generator:
        case UNetConfig():
            generator = UNet(network, batch_norm_momentum=batch_norm_momentum, seed=seed)
            side = network.generator.stride
            generator(keras.ops.zeros((1, side, side, network.gray_channels)))
            return generator
        case ResidualUNetConfig():
            generator = ResidualUNet(network, batch_norm_momentum=batch_norm_momentum, seed=seed)
            side = network.generator.stride
            generator(keras.ops.zeros((1, side, side, network.gray_channels)))
            return generator
        case ValidUNetConfig() as config:
            return _valid_unet(network, config, seed)
        case Vgg16Config() as config:
            return _vgg16(network, config, seed)


def build_plain_generator(config: TrainerConfig) -> keras.Model:
    """The generator of a recipe as it is served: without spectral normalisation."""
    network = config.network
    if isinstance(network.generator, UNetConfig):
        plain = network.generator.model_copy(update={"spectral_norm_iterations": 0})
        network = network.model_copy(update={"generator": plain})
    return build_generator(network, batch_norm_momentum=config.train.batch_norm_momentum, seed=config.seed)


def build_discriminator(
    network: NetworkConfig, *, size: int, batch_norm_momentum: float, seed: int
) -> keras.Model | None:
    """The discriminator of a recipe: [gray [N, S, S, g], colour [N, S, S, c]] -> logits [N, h, w, 1], high is real.

    A classifier of whole photos gives [N, 1, 1, 1]. None when the recipe has no discriminator.
    """
    match network.discriminator:
        case None:
            return None
        case PatchDiscriminatorConfig() as config:
            return _patch_discriminator(network, config, batch_norm_momentum, seed)
        case ClassifierDiscriminatorConfig() as config:
            return _classifier_discriminator(network, config, size, batch_norm_momentum, seed)


def load_pretrained(generator: keras.Model, config: Vgg16Config) -> None:
    """Give VGG-16 the weights that the recipe names; where Keras cannot get its own, random ones stay, with a warning.

    Raises:
        TintypeError: the file of weights is missing, has another digest, or does not fit.
    """
    encoder = generator.get_layer("vgg16")
    if config.weights == "random":
        return
    if config.weights == "imagenet":
        try:
            encoder.set_weights(keras.applications.VGG16(include_top=False).get_weights())
        except Exception as error:  # Keras' downloader raises bare exceptions
            logging.warning(
                "VGG-16 starts from RANDOM weights: Keras could not get its ImageNet weights (%s). Name a local copy "
                "in network.generator.weights, or say random there.",
                error,
            )
        return
    path = Path(config.weights)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise TintypeError(f"network.generator.weights: cannot read {path}: {error.strerror}") from None
    if digest != config.weights_sha256:
        raise TintypeError(
            f"network.generator.weights_sha256: {path} has the digest {digest}, expected {config.weights_sha256}"
        )
    try:
        encoder.load_weights(path)
    except Exception as error:  # h5py and Keras meet strange files with many kinds of exception
        raise TintypeError(
            f"network.generator.weights: {path} does not hold VGG-16 without its top: {error}"
        ) from error


def count_parameters(model: keras.Model) -> int:
    """Weights of a network without the vectors of spectral normalisation, which are state of an estimate."""
    return sum(weight.value.shape.num_elements() for weight in model.weights if weight.name != "left_vector")


def _valid_unet(network: NetworkConfig, config: ValidUNetConfig, seed: int) -> keras.Model:
    draws = _Draws(network, seed)

    def convolution(conv: ConvolutionConfig, name: str, layer: type = layers.Conv2D, **settings) -> layers.Layer:
        return layer(conv.filters, conv.kernel_size, kernel_initializer=draws.kernel(), name=name, **settings)

    inputs = keras.Input((None, None, network.gray_channels), name="gray")
    x, skips = inputs, []
    for block, convolutions in enumerate(config.down_blocks):
        for index, conv in enumerate(convolutions):
            x = convolution(conv, f"down_{block}_{index}")(x)
            x = _activation("leaky_relu", f"down_{block}_{index}_relu")(x)
        skips.append(x)
    x = convolution(config.bottleneck, "bottleneck", padding="same", activation="tanh")(x)
    for block, convolutions in enumerate(config.up_blocks):
        x = layers.Concatenate(name=f"up_{block}_skip")([x, skips.pop()])
        for index, conv in enumerate(convolutions):
            x = convolution(conv, f"up_{block}_{index}", layers.Conv2DTranspose, activation="relu")(x)
    color = layers.Conv2DTranspose(
        network.color_channels,
        config.color_kernel_size,
        activation=config.output_activation,
        kernel_initializer=draws.kernel(),
        name="color",
    )(x)
    return keras.Model(inputs, color, name="generator")


def _vgg16(network: NetworkConfig, config: Vgg16Config, seed: int) -> keras.Model:
    draws = _Draws(network, seed)
    inputs = keras.Input((None, None, network.gray_channels), name="gray")
    # From -1..1 to what VGG-16 learned on: 0..255 without the means of ImageNet's channels.
    x = layers.Concatenate(name="three_channels")([inputs] * 3) if network.gray_channels == 1 else inputs
    x = layers.Rescaling(127.5, [127.5 - mean for mean in _VGG16_MEANS], name="imagenet_range")(x)
    encoder = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3), name="vgg16")
    for layer in encoder.layers:
        if layer.weights:
            layer.kernel.assign(draws.kernel()(layer.kernel.shape))
    encoder.trainable = config.trainable_encoder
    x = encoder(x)
    for level, filters in enumerate(config.decoder_filters):
        x = layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=draws.kernel(), name=f"up_{level}"
        )(x)
        x = layers.UpSampling2D(2, name=f"up_{level}_double")(x)
    color = layers.Conv2D(
        network.color_channels,
        3,
        padding="same",
        activation="tanh",
        kernel_initializer=draws.kernel(),
        name="color",
    )(x)
    return keras.Model(inputs, color, name="generator")


def _patch_discriminator(
    network: NetworkConfig, config: PatchDiscriminatorConfig, batch_norm_momentum: float, seed: int
) -> keras.Model:
    draws = _Draws(network, seed)
    gray, color, x = _judged_photo(network, None)
    levels = [(filters, 2) for filters in config.down_filters] + [(filters, 1) for filters in config.flat_filters]
    iterations = config.spectral_norm_iterations
    for level, (filters, stride) in enumerate(levels):
        x = _convolution(filters, stride, iterations, draws, name=f"level_{level}", use_bias=config.use_bias)(x)
        if config.batch_norm and level > 0:
            x = BatchNormalization(momentum=batch_norm_momentum, name=f"level_{level}_norm")(x)
        x = _activation("leaky_relu", f"level_{level}_relu")(x)
    logits = _convolution(1, 1, iterations, draws, name="logits", use_bias=True)(x)
    return keras.Model([gray, color], logits, name="discriminator")


def _classifier_discriminator(
    network: NetworkConfig, config: ClassifierDiscriminatorConfig, size: int, batch_norm_momentum: float, seed: int
) -> keras.Model:
    draws = _Draws(network, seed)
    gray, color, photo = _judged_photo(network, size)
    x = photo if config.sees_gray else color
    for level, conv in enumerate(config.convolutions):
        x = layers.Conv2D(
            conv.filters,
            conv.kernel_size,
            strides=conv.stride,
            padding=config.padding,
            kernel_initializer=draws.kernel(),
            name=f"level_{level}",
        )(x)
        if config.batch_norm and level > 0:
            x = BatchNormalization(momentum=batch_norm_momentum, name=f"level_{level}_norm")(x)
        x = _activation(config.activation, f"level_{level}_relu")(x)
        if conv.pool:
            x = layers.MaxPooling2D(name=f"level_{level}_pool")(x)
    x = layers.Flatten(name="flat")(x)
    for index, units in enumerate(config.dense):
        x = layers.Dense(units, kernel_initializer=draws.kernel(), name=f"dense_{index}")(x)
        x = _activation(config.activation, f"dense_{index}_relu")(x)
    logit = layers.Dense(1, kernel_initializer=draws.kernel(), name="logit")(x)
    return keras.Model([gray, color], layers.Reshape((1, 1, 1), name="logits")(logit), name="discriminator")


def _judged_photo(network: NetworkConfig, size: int | None):
    gray = keras.Input((size, size, network.gray_channels), name="gray")
    color = keras.Input((size, size, network.color_channels), name="color")
    return gray, color, layers.Concatenate(name="photo")([gray, color])


class _Draws:
    """Initialisers and seeds, each different from the last and all decided by one seed."""

    def __init__(self, network: NetworkConfig, seed: int):
        self._stddev = network.initializer_stddev
        self._next = seed * 1000

    def seed(self) -> int:
        self._next += 1
        return self._next

    def kernel(self) -> keras.initializers.Initializer:
        if self._stddev is None:
            return keras.initializers.GlorotUniform(seed=self.seed())
        return keras.initializers.RandomNormal(stddev=self._stddev, seed=self.seed())


def _activation(kind: Activation, name: str) -> layers.Layer:
    return layers.LeakyReLU(LEAK, name=name) if kind == "leaky_relu" else layers.ReLU(name=name)


def _convolution(
    filters: int,
    stride: int,
    power_iterations: int,
    draws: _Draws,
    *,
    name: str,
    kernel_size: int = 4,
    transposed: bool = False,
    use_bias: bool = False,
) -> layers.Layer:
    """A convolution, transposed or not, under spectral normalisation or not."""
    settings = {
        "strides": stride,
        "padding": "same",
        "use_bias": use_bias,
        "kernel_initializer": draws.kernel(),
        "name": name,
    }
    if power_iterations:
        layer = SpectralConv2DTranspose if transposed else SpectralConv2D
        return layer(filters, kernel_size, power_iterations=power_iterations, seed=draws.seed(), **settings)
    layer = layers.Conv2DTranspose if transposed else layers.Conv2D
    return layer(filters, kernel_size, **settings)
