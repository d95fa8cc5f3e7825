"""Starts a training from a generator that is trained already, in place of weights drawn by the seed."""

import math

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.trainer.config import ResidualUNetConfig, TrainerConfig
from components.trainer.networks.blocks import innermost_layers
from components.trainer.networks.build import build_plain_generator
from components.trainer.networks.exported_weights import find_weight, read_exported_weights
from components.trainer.networks.unet import UNet
from photo.errors import TintypeError
from serving.model.shipped_generator import SHIPPED, unpacked_model

# Mean and variance of L* / 50 - 1 in photographs, roughly; batch normalisation soon has its own.
_GRAY_MEAN, _GRAY_VARIANCE = 0.0, 0.25

# After which the vector of spectral normalisation, drawn at random, belongs to the kernel.
_POWER_ITERATIONS = 100


def load_initial_generator(generator: keras.Model, config: TrainerConfig) -> None:
    """Give `generator` the weights and the statistics of `config.train.initial_generator`.

    Of several their mean, a model soup (Wortsman et al. 2022): trainings that parted from one generator err apart.
    An exported kernel is already divided by its spectral norm; where the recipe divides, it starts from that one. A
    residual U-Net may have one level more in front than the trained one: it sees twice the side and starts with the
    colours that the trained one gives to the photo at half the side, as networks grow in Karras et al. (2018).

    Args:
        generator: built from `config.network`; everything in it is overwritten.
        config: of the run.

    Raises:
        TintypeError: there is no such generator, or it is of another network.
    """
    plain = build_plain_generator(config)
    source = config.train.initial_generator
    sources = [source] if isinstance(source, str) else source or ()
    for place, name in enumerate(sources):
        for weight, value in _values_by_weight(name, plain, config):
            weight.assign((weight * place + value) / (place + 1))
    for layer, trained in zip(innermost_layers(plain), innermost_layers(generator), strict=True):
        if len(trained.weights) == len(layer.weights):
            trained.set_weights(layer.get_weights())
        else:
            by_name = {weight.name: weight for weight in trained.weights}
            for weight in layer.weights:
                by_name[weight.name].assign(weight)
            for _ in range(_POWER_ITERATIONS // trained.power_iterations + 1):
                trained.normalized_kernel(training=True)


def _values_by_weight(
    source: str, plain: keras.Model, config: TrainerConfig
) -> list[tuple[keras.Variable, NDArray[np.float32]]]:
    """For every weight of `plain` what it is in `source`."""
    try:
        values = read_exported_weights(_saved_model(source))
    except (ValueError, tf.errors.OpError) as error:
        raise TintypeError(f"train.initial_generator: {source} cannot be read: {error}") from error
    deepest = len(getattr(plain, "downs", ())) - 1
    if isinstance(config.network.generator, ResidualUNetConfig) and _kernel_of(deepest) not in values:
        values = _with_level_in_front(values, plain, config.network.leaky_relu_slope)
    missing = {id(weight): weight.path for weight in plain.weights}
    found = []
    for path, value in values.items():
        weight = find_weight(plain, path)
        if missing.pop(id(weight), None) is None:
            raise _another_network(source, config, f"the recipe's has no {path}")
        if weight.shape != value.shape:
            raise _another_network(source, config, f"its {path} is {value.shape}, the recipe's {weight.shape}")
        found.append((weight, value))
    if missing:
        raise _another_network(source, config, f"it has no {next(iter(missing.values()))}")
    return found


def _with_level_in_front(
    values: dict[str, NDArray[np.float32]], plain: UNet, leaky_relu_slope: float
) -> dict[str, NDArray[np.float32]]:
    """The values of a residual U-Net -> those of one with a level more in front, which halves the photo.

    Two filters of the new level carry each channel of the photo, one the mean of four pixels and one its opposite,
    since a leaky rectifier of both still tells the mean. The level after it reads these two; the new level's other
    filters start as they are, unread.
    """
    grown = {}
    for path, value in values.items():
        start, level, *rest = path.split("/")
        grown["/".join([start, str(int(level) + 1), *rest]) if start == "downs" else path] = value
    down, norm = plain.downs[0].convolution, plain.downs[0].norm
    old, channels = grown.get(_kernel_of(1)), down.kernel.shape[2]
    filters = down.kernel.shape[3]
    if old is None or old.shape[2] != channels or filters < 2 * channels or down.kernel.shape[:2] != (4, 4):
        return values
    first, second = np.array(down.kernel), np.zeros((*old.shape[:2], filters, old.shape[3]), np.float32)
    gain = np.ones(filters, np.float32)
    for channel in range(channels):
        for place, sign in ((2 * channel, 1.0), (2 * channel + 1, -1.0)):
            first[..., place] = 0.0
            first[1:3, 1:3, channel, place] = sign / 4.0
            gain[place] = math.sqrt(_GRAY_VARIANCE + norm.epsilon)
            second[:, :, place] = sign * old[:, :, channel] / (1.0 + leaky_relu_slope)
    return grown | {
        _kernel_of(0): first,
        _kernel_of(1): second,
        "downs/0/norm/gamma": gain,
        "downs/0/norm/beta": np.zeros(filters, np.float32),
        "downs/0/norm/moving_mean": np.full(filters, _GRAY_MEAN, np.float32),
        "downs/0/norm/moving_variance": np.full(filters, _GRAY_VARIANCE, np.float32),
    }


def _kernel_of(level: int) -> str:
    return f"downs/{level}/convolution/_kernel"


def _saved_model(source: str) -> str:
    if (unpacked := unpacked_model(source)) is not None:
        return unpacked
    if tf.io.gfile.exists(f"{source}/saved_model.pb"):
        return source.rstrip("/")
    raise TintypeError(
        f"train.initial_generator: {source} is neither a packed generator nor a folder with saved_model.pb; "
        f"`{SHIPPED}` takes the one that comes with Tintype"
    )


def _another_network(source: str, config: TrainerConfig, difference: str) -> TintypeError:
    return TintypeError(f"train.initial_generator: {source} is not of the network of {config.recipe}: {difference}")
