"""The batches that a run takes its steps from, each replica its rows: of photographs or, at first, of kept maps."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.trainer.gan import ColorGan
from components.trainer.input_pipeline import training_batches
from components.trainer.kept_maps import keep_maps, kept_batches
from components.trainer.pace import Phase
from photo.errors import TintypeError

_Shares = list[tuple[int, int]]


class StepBatches(NamedTuple):
    """Iterators of batches, each at the step where the run takes it.

    Attributes:
        photos: photographs.
        maps: views of photographs and a frozen encoder's maps of them; None where none are kept.
    """

    photos: Iterator[tf.Tensor]
    maps: Iterator[tuple[tf.Tensor, ...]] | None

    def of(self, phase: Phase) -> Iterator[Any]:
        """Those for a step in which the encoder learns or does not."""
        return self.photos if phase.encoder_learns or self.maps is None else self.maps


def step_batches(
    gan: ColorGan,
    photos: NDArray[np.uint8],
    weights: NDArray[np.float64] | None,
    disk_folder: str,
    data_fingerprint: str,
    *,
    first_step: int,
) -> StepBatches:
    """The batches of a run from `first_step` on.

    Args:
        gan: whose config and strategy say how they are made and shared.
        photos, weights: as of `training_batches`.
        disk_folder, data_fingerprint: as of `keep_maps`.
        first_step: counted from 0.

    Raises:
        TintypeError: the replicas do not share a batch evenly, or what is kept cannot be written.
    """
    config, settings = gan.config, gan.config.train
    frozen_steps = settings.optimizer.encoder_frozen_steps
    maps = None
    if settings.kept_views and first_step < frozen_steps:
        kept = keep_maps(gan, photos, weights, disk_folder, data_fingerprint)
        maps = _distributed(
            gan,
            lambda shares: kept_batches(
                kept, batch_size=settings.batch_size, seed=config.seed, first_step=first_step, shares=shares
            ),
        )
        first_step = frozen_steps
    of_photos = _distributed(
        gan,
        lambda shares: training_batches(
            photos,
            size=config.size,
            batch_size=settings.batch_size,
            augmentation=settings.augmentation,
            seed=config.seed,
            first_step=first_step,
            shares=shares,
            weights=weights,
            with_replacement=settings.with_replacement,
        ),
    )
    return StepBatches(of_photos, maps)


def _distributed(gan: ColorGan, dataset_of: Callable[[_Shares], tf.data.Dataset]) -> Iterator[Any]:
    """An iterator that gives every replica its rows of each step's batch."""
    replicas, batch_size = gan.strategy.num_replicas_in_sync, gan.config.train.batch_size
    if batch_size % replicas:
        raise TintypeError(f"train.batch_size must be a multiple of the {replicas} replicas, got {batch_size}")

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = batch_size // replicas
        here = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * here
        return dataset_of([(replica * rows, (replica + 1) * rows) for replica in range(first, first + here)])

    return iter(gan.strategy.distribute_datasets_from_function(dataset))
