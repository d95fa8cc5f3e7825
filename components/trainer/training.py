"""A training run from the first batch to the exported model, readable from top to bottom."""

import dataclasses
import json
import math
import os
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from components.trainer.checkpoints import Checkpoints, Progress
from components.trainer.collapse import CollapseWatch
from components.trainer.config import TrainerConfig
from components.trainer.curves import write_curves
from components.trainer.decoded_photos import content_digest, decode_photos, first_squares
from components.trainer.export import export_saved_model
from components.trainer.gan import ColorGan
from components.trainer.input_pipeline import training_batches
from components.trainer.networks import count_parameters
from components.trainer.plateau import count_plateaus
from components.trainer.precision import choose_precision
from components.trainer.progress import TrainingProgress
from components.trainer.stop_signals import StopSignals
from components.trainer.strategy import (
    ChosenStrategy,
    any_worker,
    choose_strategy,
    is_chief,
    mean_over_workers,
    others_needed,
    worker_name,
)
from photo.errors import TintypeError

# A call of several steps returns after about this long: a signal is heeded then.
CALL_SECONDS = 5.0

# What the file systems answer through TensorFlow when a disk is full, a folder is not writable or a file is gone.
_FILE_ERRORS = (
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.DataLossError,
)


class TrainingDivergedError(TintypeError):
    """The losses left the finite numbers before there were any good weights to keep."""


class TrainingStoppedError(TintypeError):
    """A signal ended the run before it was finished."""


@dataclasses.dataclass
class TrainingSummary:
    """What a run came to; written as training.json beside the curves.

    Attributes:
        resumed_at: the step of the checkpoint that the run went on from; 0 for a run in one piece.
        seconds: of training, those before a resumption included, measurements not.
        images_per_second: of this process, from its second step on, with all that it did beside training.
        stopped: `finished`, `time` (max_minutes were over), or `diverged` or `collapsed` (the last good weights were
            kept).
        history: a row per measurement: step, seconds, every mean loss since the last, and the figures of `measure`.
    """

    recipe: str
    strategy: str
    precision: str
    photos: int
    resumed_at: int = 0
    steps: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    generator_parameters: int = 0
    discriminator_parameters: int = 0
    stopped: str = "finished"
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


@others_needed()
def train(
    config: TrainerConfig,
    train_files: Sequence[str],
    held_out_files: Sequence[str],
    *,
    model_folder: str,
    run_folder: str,
    checkpoint_folder: str | None = None,
    data_fingerprint: str | None = None,
    chosen_strategy: ChosenStrategy | None = None,
) -> TrainingSummary:
    """Train a recipe and export its averaged generator; of several workers the chief alone exports.

    Args:
        config: networks, losses, optimisers, size and seed.
        train_files: gzipped TFRecords of Examples to learn from.
        held_out_files: the same, for the figures and pictures while training.
        model_folder: where the SavedModel goes.
        run_folder: where TensorBoard's events, picture grids, curves.png and training.json go.
        checkpoint_folder: on this machine (for several workers: one that all of them see); a run that was ended goes
            on from the checkpoint it left there. A finished one leaves its last, so that nothing is lost before the
            model is where it belongs; the caller removes it then. None keeps no checkpoints.
        data_fingerprint: `content_digest(train_files)`, where the caller has it already.
        chosen_strategy: what `choose_strategy` gave for this config, where something had to be done between; None
            chooses it here.

    Raises:
        TrainingDivergedError: the losses were not finite before the first reading.
        TrainingStoppedError: SIGTERM or SIGINT ended the run.
        WorkerGoneError: another worker ended.
        TintypeError: the examples cannot be read, a folder cannot be written, or the checkpoints are of another run.
    """
    strategy, why = chosen_strategy or choose_strategy(config.train.strategy)
    logging.info("%s: %s", type(strategy).__name__, why)
    logging.info("%s: %s", *choose_precision(config.train.precision))
    keras.utils.set_random_seed(config.seed)
    try:
        with strategy.scope():
            gan = ColorGan(config)
        data_fingerprint = data_fingerprint or content_digest(train_files)
        photos = decode_photos(
            train_files,
            side=round(config.size * config.train.augmentation.enlarge),
            memory_share=config.train.cache_memory_share,
            disk_folder=os.path.join(checkpoint_folder or run_folder, "decoded", worker_name(strategy)),
            fingerprint=data_fingerprint,
        )
        held_out = first_squares(held_out_files, size=config.size, count=config.train.preview_photos)
        summary = TrainingSummary(
            recipe=config.recipe,
            strategy=f"{type(strategy).__name__} ({why})",
            precision=gan.precision,
            photos=len(photos),
            generator_parameters=count_parameters(gan.generator),
            discriminator_parameters=count_parameters(gan.discriminator) if gan.discriminator else 0,
        )
        checkpoints = None
        if checkpoint_folder is not None:
            checkpoints = Checkpoints(checkpoint_folder, config, data_fingerprint)
            if (progress := checkpoints.restore(gan)) is not None:
                summary.history, summary.seconds = progress.history, progress.seconds
                summary.steps = summary.resumed_at = int(gan.step.numpy())
        batches = _distribute(strategy, photos, config, first_step=summary.steps)
        chief = is_chief(strategy)

        _fit(gan, batches, held_out, summary, run_folder, checkpoints, chief=chief)

        if chief:
            export_saved_model(gan.averaged, config, model_folder, warmup_photo=held_out[0].numpy())
            write_curves(summary.history, f"{run_folder}/curves.png", title=config.recipe)
            with tf.io.gfile.GFile(f"{run_folder}/training.json", "w") as file:
                json.dump(dataclasses.asdict(summary), file, indent=2)
    except _FILE_ERRORS as error:
        raise TintypeError(f"training {config.recipe} ended: {error.message}") from error
    return summary


def _distribute(strategy: tf.distribute.Strategy, photos, config: TrainerConfig, *, first_step: int):
    """An iterator that gives every replica its rows of each step's batch."""
    replicas = strategy.num_replicas_in_sync
    if config.train.batch_size % replicas:
        raise TintypeError(
            f"train.batch_size must be a multiple of the {replicas} replicas, got {config.train.batch_size}"
        )

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = config.train.batch_size // replicas
        here = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * here
        return training_batches(
            photos,
            size=config.size,
            batch_size=config.train.batch_size,
            augmentation=config.train.augmentation,
            seed=config.seed,
            first_step=first_step,
            shares=[(replica * rows, (replica + 1) * rows) for replica in range(first, first + here)],
        )

    return iter(strategy.distribute_datasets_from_function(dataset))


def _fit(
    gan: ColorGan,
    batches,
    held_out: tf.Tensor,
    summary: TrainingSummary,
    run_folder: str,
    checkpoints: Checkpoints | None,
    *,
    chief: bool,
) -> None:
    """Take the steps; read the losses every `log_every` steps, measure and draw every `picture_every`.

    Every worker takes the steps and comes to the same decisions; the chief alone measures and writes.
    """
    settings = gan.config.train
    writer = tf.summary.create_file_writer(run_folder) if chief else tf.summary.create_noop_writer()
    if chief:
        tf.io.gfile.makedirs(f"{run_folder}/pictures")
    resumed_at, seconds_before = summary.steps, summary.seconds
    started = time.monotonic()
    seconds_not_training = 0.0
    last_good: list[np.ndarray] | None = None
    since_logged, since_measured = _Means(), _Means()
    watch = CollapseWatch(summary.history)
    adversarial = False
    progress = TrainingProgress(settings.steps, settings.batch_size, settings.max_minutes, visible=chief)

    with StopSignals() as signals, progress, writer.as_default():
        step = resumed_at
        out_of_time = settings.max_minutes is not None and summary.seconds > settings.max_minutes * 60
        summary.stopped = "time" if out_of_time and step < settings.steps else "finished"
        while step < settings.steps and not out_of_time:
            intervals = (settings.log_every, settings.picture_every, settings.checkpoint_every)
            boundary = min(settings.steps, *(step + every - step % every for every in intervals))
            if settings.max_minutes is not None and summary.seconds > 0:
                expected = step * settings.max_minutes * 60 / summary.seconds
                gan.last_step.assign(min(settings.steps, mean_over_workers(gan.strategy, expected)))
            adversarial_start = math.ceil(settings.loss.adversarial_start * float(gan.last_step.numpy()))
            adversarial = adversarial or step >= adversarial_start
            if not adversarial:
                boundary = min(boundary, adversarial_start)
            if step == resumed_at:
                count = 1  # tracing the graph must not count into the speed
            else:
                seconds_per_step = (summary.seconds - seconds_before) / max(step - resumed_at - 1, 1)
                count = min(boundary - step, max(1, int(CALL_SECONDS / max(seconds_per_step, 1e-3))))
            means = gan.train_steps(batches, tf.constant(count), adversarial=adversarial)
            readings = {name: float(value) for name, value in means.items()}
            step += count
            if step == resumed_at + 1:
                started = time.monotonic()

            if wrong := ", ".join(f"{name}={value}" for name, value in readings.items() if not math.isfinite(value)):
                if last_good is None:
                    raise TrainingDivergedError(
                        f"training diverged in its first {step} step(s) ({wrong}); lower train.optimizer's "
                        "learning rates"
                    )
                _keep_last_good(gan, last_good, wrong, step)
                summary.stopped = "diverged"
                break
            since_logged.add(readings, count)
            since_measured.add(readings, count)
            trained_for = time.monotonic() - started - seconds_not_training
            summary.steps, summary.seconds = step, seconds_before + trained_for
            new_images = (step - resumed_at - 1) * settings.batch_size
            summary.images_per_second = round(new_images / max(time.monotonic() - started, 1e-9), 1)
            out_of_time = settings.max_minutes is not None and summary.seconds > settings.max_minutes * 60
            out_of_time, told_to_stop = any_worker(gan.strategy, out_of_time, signals.received is not None)
            paused = time.monotonic()

            if step % settings.log_every == 0 or step in (resumed_at + 1, settings.steps) or out_of_time:
                readings = since_logged.take()
                for name, value in readings.items():
                    tf.summary.scalar(name, value, step=step)
                wrong = watch.update(readings)
                if not watch.suspicious:
                    last_good = [weight.numpy() for weight in gan.averaged.weights]
                if wrong and last_good is not None:
                    _keep_last_good(gan, last_good, wrong, step)
                    summary.stopped = "collapsed"
                    break
            is_last = step == settings.steps or out_of_time
            if step % settings.picture_every == 0 or is_last:
                summary.history.append({"step": step, "seconds": round(summary.seconds, 1), **since_measured.take()})
                if chief:
                    figures = _measure(gan, held_out, step, run_folder)
                    summary.history[-1].update(figures)
                    readings |= figures
            if settings.plateau is not None and step % settings.picture_every == 0:
                plateaus = count_plateaus([row["generator_loss"] for row in summary.history], settings.plateau)
                gan.rate_factor.assign(settings.plateau.factor**plateaus)
            if chief and checkpoints and (step % settings.checkpoint_every == 0 or told_to_stop or is_last):
                checkpoints.save(gan, Progress(summary.seconds, summary.history))
            progress.update(step, summary.seconds, readings)
            seconds_not_training += time.monotonic() - paused
            if out_of_time and step < settings.steps:
                summary.stopped = "time"
            if told_to_stop and not is_last:
                where = "the same command goes on from there" if checkpoints else "it left no checkpoint"
                raise TrainingStoppedError(
                    f"{signals.received or 'another worker'} ended training at step {step}; {where}"
                )
    summary.seconds = round(summary.seconds, 1)


def _measure(gan: ColorGan, held_out: tf.Tensor, step: int, run_folder: str) -> dict[str, float]:
    """Measure and draw the held-out photographs. Returns the figures."""
    figures, picture = gan.measure(held_out)
    for name, value in figures.items():
        tf.summary.scalar(name, value, step=step)
    tf.summary.image("gray_colored_true", picture[None], step=step)
    tf.io.write_file(f"{run_folder}/pictures/step_{step:06d}.png", tf.io.encode_png(picture))
    return figures


class _Means:
    """Running means of the readings of calls of several steps."""

    def __init__(self):
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, readings: dict[str, float], steps: int) -> None:
        for name, value in readings.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * steps
        self._steps += steps

    def take(self) -> dict[str, float]:
        """The means since the last call of this."""
        means = {name: total / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means


def _keep_last_good(gan: ColorGan, last_good: list[np.ndarray], wrong: str, step: int) -> None:
    logging.error("training stopped at step %d, %s; the last good weights are kept", step, wrong)
    for weight, value in zip(gan.averaged.weights, last_good, strict=True):
        weight.assign(value)
