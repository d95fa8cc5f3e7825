"""Starts a training from a generator that is trained already, in place of weights drawn by the seed."""

from pathlib import Path

import keras
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.networks import build_plain_generator
from serving.client.errors import TintypeError
from serving.generator.unpacking import shipped_generator, unpack

SHIPPED = "shipped"
# What `Servable.generator` is called in the object graph of an exported model's variables.
_KEY_START, _KEY_END = "generator/", "/.ATTRIBUTES/VARIABLE_VALUE"

# After which the vector of spectral normalisation, drawn at random, belongs to the kernel.
_POWER_ITERATIONS = 100


def load_initial_generator(generator: keras.Model, config: TrainerConfig) -> None:
    """Give `generator` the weights and the statistics of `config.train.initial_generator`.

    An exported kernel is already divided by its spectral norm; where the recipe divides, it starts from that one.

    Args:
        generator: built from `config.network`; everything in it is overwritten.
        config: of the run.

    Raises:
        TintypeError: there is no such generator, or it is of another network.
    """
    source = config.train.initial_generator
    variables = f"{_saved_model(source)}/variables/variables"
    plain = build_plain_generator(config)
    try:
        reader = tf.train.load_checkpoint(variables)
    except (ValueError, tf.errors.OpError) as error:
        raise TintypeError(f"train.initial_generator: {source} cannot be read: {error}") from error
    missing = {id(weight): weight.path for weight in plain.weights}
    for key in reader.get_variable_to_shape_map():
        if not (key.startswith(_KEY_START) and key.endswith(_KEY_END)):
            continue
        path = key.removeprefix(_KEY_START).removesuffix(_KEY_END)
        weight, value = _find(plain, path), reader.get_tensor(key)
        if missing.pop(id(weight), None) is None:
            raise _another_network(source, config, f"the recipe's has no {path}")
        if weight.shape != value.shape:
            raise _another_network(source, config, f"its {path} is {value.shape}, the recipe's {weight.shape}")
        weight.assign(value)
    if missing:
        raise _another_network(source, config, f"it has no {next(iter(missing.values()))}")
    for layer in plain.layers:
        trained = generator.get_layer(layer.name)
        if len(trained.weights) == len(layer.weights):
            trained.set_weights(layer.get_weights())
        else:
            by_name = {weight.name: weight for weight in trained.weights}
            for weight in layer.weights:
                by_name[weight.name].assign(weight)
            for _ in range(_POWER_ITERATIONS // trained.power_iterations + 1):
                trained.normalized_kernel(training=True)


def _find(model: keras.Model, path: str) -> object | None:
    """What an object graph calls `downs/1/_kernel`: attributes and places in lists; None where there is nothing."""
    found: object = model
    try:
        for part in path.split("/"):
            found = found[int(part)] if part.isdecimal() else getattr(found, part)
    except (AttributeError, IndexError, TypeError):
        return None
    return found


def _saved_model(source: str) -> str:
    if source == SHIPPED:
        return str(unpack(shipped_generator()) / "1")
    if Path(source).is_file():
        return str(unpack(Path(source)) / "1")
    if tf.io.gfile.exists(f"{source}/saved_model.pb"):
        return source.rstrip("/")
    raise TintypeError(
        f"train.initial_generator: {source} is neither a packed generator nor a folder with saved_model.pb; "
        f"`{SHIPPED}` takes the one that comes with Tintype"
    )


def _another_network(source: str, config: TrainerConfig, difference: str) -> TintypeError:
    return TintypeError(f"train.initial_generator: {source} is not of the network of {config.recipe}: {difference}")
