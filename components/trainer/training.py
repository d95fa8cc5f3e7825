"""A training run from the first batch to the exported model, readable from top to bottom."""

import dataclasses
import json
import math
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from components.trainer.config import TrainerConfig
from components.trainer.curves import write_curves
from components.trainer.export import export_saved_model
from components.trainer.gan import ColorGan
from components.trainer.input_pipeline import count_examples, first_squares, training_batches
from components.trainer.networks import count_parameters
from components.trainer.plateau import count_plateaus
from components.trainer.progress import TrainingProgress
from components.trainer.strategy import choose_strategy
from serving.client.errors import TintypeError


class TrainingDivergedError(TintypeError):
    """The losses left the finite numbers before there were any good weights to keep."""


@dataclasses.dataclass
class TrainingSummary:
    """What a run came to; written as training.json beside the curves.

    Attributes:
        stopped: `finished`, `time` (max_minutes were over) or `diverged` (the last good weights were kept).
        history: a row per measurement: step, seconds, every mean loss since the last, and the figures of `measure`.
    """

    recipe: str
    strategy: str
    photos: int
    steps: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    generator_parameters: int = 0
    discriminator_parameters: int = 0
    stopped: str = "finished"
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


def train(
    config: TrainerConfig,
    train_files: Sequence[str],
    held_out_files: Sequence[str],
    *,
    model_folder: str,
    run_folder: str,
) -> TrainingSummary:
    """Train a recipe and export its averaged generator.

    Args:
        config: networks, losses, optimisers, size and seed.
        train_files: gzipped TFRecords of Examples to learn from.
        held_out_files: the same, for the figures and pictures while training.
        model_folder: where the SavedModel goes.
        run_folder: where TensorBoard's events, picture grids, curves.png and training.json go.

    Raises:
        TrainingDivergedError: the losses were not finite before the first reading.
    """
    strategy, why = choose_strategy(config.train.strategy)
    logging.info("%s: %s", type(strategy).__name__, why)
    settings = config.train
    # Before the data: TensorFlow mixes the global seed into the seeds of the dataset's own operations.
    keras.utils.set_random_seed(config.seed)
    photo_count = count_examples(train_files)
    batches = iter(
        strategy.experimental_distribute_dataset(
            training_batches(
                train_files,
                photo_count=photo_count,
                size=config.size,
                batch_size=settings.batch_size,
                augmentation=settings.augmentation,
                seed=config.seed,
            )
        )
    )
    held_out = first_squares(held_out_files, size=config.size, count=settings.preview_photos)
    with strategy.scope():
        gan = ColorGan(config)
    summary = TrainingSummary(
        recipe=config.recipe,
        strategy=f"{type(strategy).__name__} ({why})",
        photos=photo_count,
        generator_parameters=count_parameters(gan.generator),
        discriminator_parameters=count_parameters(gan.discriminator) if gan.discriminator else 0,
    )

    _fit(gan, batches, held_out, summary, run_folder)

    export_saved_model(gan.averaged, config, model_folder, warmup_photo=held_out[0].numpy())
    write_curves(summary.history, f"{run_folder}/curves.png", title=config.recipe)
    with tf.io.gfile.GFile(f"{run_folder}/training.json", "w") as file:
        json.dump(dataclasses.asdict(summary), file, indent=2)
    return summary


def _fit(gan: ColorGan, batches, held_out: tf.Tensor, summary: TrainingSummary, run_folder: str) -> None:
    """Take the steps; read the losses every `log_every` steps, measure and draw every `picture_every`."""
    settings = gan.config.train
    writer = tf.summary.create_file_writer(run_folder)
    tf.io.gfile.makedirs(f"{run_folder}/pictures")
    started = time.monotonic()
    seconds_not_training = 0.0
    last_good: list[np.ndarray] | None = None
    since_measured: list[dict[str, float]] = []

    with TrainingProgress(settings.steps, settings.batch_size) as progress, writer.as_default():
        step = 0
        while step < settings.steps:
            # The first reading comes after one step: tracing the graph must not count into the speed.
            until_picture = settings.picture_every - step % settings.picture_every
            count = 1 if step == 0 else min(settings.log_every, settings.steps - step, until_picture)
            readings = {name: float(value) for name, value in gan.train_steps(batches, tf.constant(count)).items()}
            step += count
            if step == 1:
                started = time.monotonic()

            if not all(math.isfinite(value) for value in readings.values()):
                _keep_last_good(gan, last_good, readings, step)
                summary.stopped = "diverged"
                break
            last_good = [weight.numpy() for weight in gan.averaged.weights]
            since_measured.append(readings)
            for name, value in readings.items():
                tf.summary.scalar(name, value, step=step)

            trained_for = time.monotonic() - started - seconds_not_training
            summary.steps, summary.seconds = step, round(trained_for, 1)
            summary.images_per_second = round((step - 1) * settings.batch_size / max(trained_for, 1e-9), 1)
            out_of_time = settings.max_minutes is not None and trained_for > settings.max_minutes * 60
            if step % settings.picture_every == 0 or step == settings.steps or out_of_time:
                paused = time.monotonic()
                figures, picture = gan.measure(held_out)
                means = {name: float(np.mean([row[name] for row in since_measured])) for name in readings}
                since_measured.clear()
                summary.history.append({"step": step, "seconds": summary.seconds, **means, **figures})
                if settings.plateau is not None:
                    plateaus = count_plateaus([row["generator_loss"] for row in summary.history], settings.plateau)
                    gan.scale_learning_rates(settings.plateau.factor**plateaus)
                for name, value in figures.items():
                    tf.summary.scalar(name, value, step=step)
                tf.summary.image("gray_colored_true", picture[None], step=step)
                tf.io.write_file(f"{run_folder}/pictures/step_{step:06d}.png", tf.io.encode_png(picture))
                readings = {**readings, **figures}
                seconds_not_training += time.monotonic() - paused
            progress.update(step, readings)
            if out_of_time and step < settings.steps:
                summary.stopped = "time"
                break


def _keep_last_good(gan: ColorGan, last_good: list[np.ndarray] | None, readings: dict[str, float], step: int) -> None:
    wrong = ", ".join(f"{name}={value}" for name, value in readings.items() if not math.isfinite(value))
    if last_good is None:
        raise TrainingDivergedError(
            f"training diverged in its first {step} step(s) ({wrong}); lower train.optimizer's learning rates"
        )
    logging.error("training diverged by step %d (%s): stopped; the last good weights are kept", step, wrong)
    for weight, value in zip(gan.averaged.weights, last_good, strict=True):
        weight.assign(value)
