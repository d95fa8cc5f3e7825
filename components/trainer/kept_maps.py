"""What a frozen encoder sees of every photograph, made once and kept: then a step costs the decoder's time alone.

A photograph is kept in several views, which are its squares in the first epochs of `input_pipeline`. They lie in files
that the machine's memory holds as far as there is room.
"""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from components.trainer.decoded_photos import allocate_npy
from components.trainer.gan import ColorGan
from components.trainer.input_pipeline import training_batches
from photo.errors import TintypeError
from photo.whole_file import whole_folder

_BATCH = 64
# Tells the order in which views are drawn from what else the seed decides.
_ORDER = 3

Kept = list[NDArray[np.uint8 | np.float16]]
"""The views, uint8 [views, S, S, 3], or 4 with the aged gray, and the encoder's maps of them, float16."""


def keep_maps(
    gan: ColorGan, photos: NDArray[np.uint8], weights: NDArray[np.float64] | None, folder: str, data_fingerprint: str
) -> Kept:
    """The views of all photographs and the encoder's maps of them, made unless a run before has left them.

    Args:
        gan: whose encoder sees them, and whose config says how many views of a photograph are kept.
        photos, weights: as of `training_batches`.
        folder: on this machine; gets a folder of files.
        data_fingerprint: of the photographs.

    Raises:
        TintypeError: the files cannot be written, or the disk has no room.
    """
    config = gan.config
    rows = config.train.kept_views * len(photos)
    home = Path(folder) / f"maps_{_fingerprint(gan, data_fingerprint)}"
    if not home.is_dir():
        batches = training_batches(
            photos,
            size=config.size,
            batch_size=_BATCH,
            augmentation=config.train.augmentation,
            seed=config.seed,
            weights=weights,
        )
        try:
            with whole_folder(home) as part:
                _fill(part, gan, batches, rows)
        except OSError as error:
            raise TintypeError(f"what the encoder sees cannot be kept in {home}: {error.strerror or error}") from error
    files = sorted(home.glob("*.npy"))
    return [np.load(file, mmap_mode="r") for file in files]


def kept_batches(
    kept: Kept, *, batch_size: int, seed: int, first_step: int = 0, shares: Sequence[tuple[int, int]] | None = None
) -> tf.data.Dataset:
    """Endless batches of views and their maps, shuffled anew in every round; arguments as of `training_batches`."""
    shares = shares or [(0, batch_size)]

    @functools.lru_cache(maxsize=4)
    def order(turn: int) -> NDArray[np.int64]:
        return np.random.default_rng((seed, _ORDER, turn)).permutation(len(kept[0]))

    def load(index: np.int64) -> list[NDArray[np.uint8 | np.float16]]:
        step, share = divmod(int(index), len(shares))
        first, end = shares[share]
        rows = range(step * batch_size + first, step * batch_size + end)
        places = [order(turn)[place] for turn, place in (divmod(row, len(kept[0])) for row in rows)]
        return [part[places] for part in kept]

    def batch(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parts = tf.numpy_function(load, [index], [part.dtype for part in kept])
        for part, whole in zip(parts, kept, strict=True):
            part.set_shape([None, *whole.shape[1:]])
        return tuple(parts)

    indices = tf.data.Dataset.counter(first_step * len(shares))
    return indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _fingerprint(gan: ColorGan, data_fingerprint: str) -> str:
    """16 hex digits that follow from all that the files depend on."""
    config = gan.config
    decides = (data_fingerprint, config.weights, config.seed, config.size, config.train.kept_views)
    digest = hashlib.sha256(f"{decides} {config.train.augmentation.model_dump_json()}".encode())
    for weight in gan.generator.encoder.weights:
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()[:16]


def _fill(folder: Path, gan: ColorGan, batches: tf.data.Dataset, rows: int) -> None:
    files: Kept = []
    console = Console(stderr=True)
    steps = track(
        batches.take(-(-rows // _BATCH)),
        "looking at photographs",
        total=-(-rows // _BATCH),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    for number, squares in enumerate(steps):
        parts = [squares.numpy(), *(each.numpy() for each in gan.encode(squares))]
        if not files:
            shapes = [(rows, *part.shape[1:]) for part in parts]
            needed = sum(int(np.prod(shape)) * part.itemsize for shape, part in zip(shapes, parts, strict=True))
            logging.info("%d views and what the encoder sees of them take %.1f GB: %s", rows, needed / 1e9, folder)
            files = [
                allocate_npy(folder / f"{place}.npy", shape, part.dtype)
                for place, (shape, part) in enumerate(zip(shapes, parts, strict=True))
            ]
        first = number * _BATCH
        for file, part in zip(files, parts, strict=True):
            file[first : first + _BATCH] = part[: rows - first]
