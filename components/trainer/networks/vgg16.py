"""VGG-16 with a decoder of convolutions, and where VGG-16's trained weights come from."""

import hashlib
from pathlib import Path

import keras
from absl import logging
from keras import layers

from components.trainer.config import NetworkConfig, Vgg16Config
from components.trainer.networks.initial_weights import InitialWeights
from photo.errors import TintypeError

# What Keras subtracts from 0..255 before VGG-16, blue, green, red: the means of ImageNet.
_VGG16_MEANS = (103.939, 116.779, 123.68)


def build_vgg16(network: NetworkConfig, config: Vgg16Config, *, seed: int) -> keras.Model:
    """VGG-16 and its decoder, as `Vgg16Config` describes them: gray [N, H, W, g] -> colour [N, H, W, c]."""
    weights = InitialWeights(network, seed)
    inputs = keras.Input((None, None, network.gray_channels), name="gray")
    x = layers.Concatenate(name="three_channels")([inputs] * 3) if network.gray_channels == 1 else inputs
    if config.imagenet_range:
        x = layers.Rescaling(127.5, [127.5 - mean for mean in _VGG16_MEANS], name="imagenet_range")(x)
    else:
        x = layers.Rescaling(50.0, 50.0, name="lightness_range")(x)
    encoder = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3), name="vgg16")
    for layer in encoder.layers:
        if layer.weights:
            layer.kernel.assign(weights.kernel()(layer.kernel.shape))
    encoder.trainable = config.trainable_encoder
    x = encoder(x)
    for level, filters in enumerate(config.decoder_filters):
        x = layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=weights.kernel(), name=f"up_{level}"
        )(x)
        x = layers.UpSampling2D(2, name=f"up_{level}_double")(x)
    color = layers.Conv2D(
        network.color_channels,
        3,
        padding="same",
        activation="tanh",
        kernel_initializer=weights.kernel(),
        name="color",
    )(x)
    return keras.Model(inputs, color, name="generator")


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
