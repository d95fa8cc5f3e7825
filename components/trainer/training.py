"""A training run from the first batch to the exported model, readable from top to bottom."""

import dataclasses
import json
import os
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging

from components.trainer.checkpoints import Checkpoints
from components.trainer.collapse import CollapseWatch
from components.trainer.config import TrainerConfig
from components.trainer.curves import write_curves
from components.trainer.decoded_photos import content_digest, decode_photos, first_squares, photo_weights
from components.trainer.export import export_saved_model
from components.trainer.gan import ColorGan
from components.trainer.networks.build import count_parameters
from components.trainer.pace import Pace
from components.trainer.periodic_actions import (
    HeldOutPreview,
    LogLosses,
    LowerRatesOnPlateau,
    Measure,
    Moment,
    PeriodicAction,
    SaveCheckpoint,
    ShowProgress,
    StopOnCollapse,
)
from components.trainer.precision import choose_precision
from components.trainer.progress import TrainingProgress
from components.trainer.step_batches import StepBatches, step_batches
from components.trainer.stop_signals import StopSignals
from components.trainer.stopping import GoodWeights, TimeLimit, not_finite, told_to_stop_at
from components.trainer.strategy import (
    ChosenStrategy,
    any_worker,
    choose_strategy,
    is_chief,
    others_needed,
    worker_name,
)
from components.trainer.summary import TrainingSummary
from photo.errors import TintypeError

# What the file systems answer through TensorFlow when a disk is full, a folder is not writable or a file is gone.
_FILE_ERRORS = (
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.DataLossError,
)


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
        disk_folder = os.path.join(checkpoint_folder or run_folder, "decoded", worker_name(strategy))
        photos = decode_photos(
            train_files,
            side=round(config.size * config.train.augmentation.enlarge),
            memory_share=config.train.cache_memory_share,
            disk_folder=disk_folder,
            fingerprint=data_fingerprint,
        )
        weights = photo_weights(train_files, config.weights) if config.weights else None
        held_out = first_squares(held_out_files, size=config.size, count=config.train.preview_photos)
        summary = _new_summary(gan, strategy=f"{type(strategy).__name__} ({why})", photos=len(photos))
        checkpoints = _resume(gan, summary, checkpoint_folder, data_fingerprint)
        batches = step_batches(gan, photos, weights, disk_folder, data_fingerprint, first_step=summary.steps)
        _fit(gan, batches, held_out, summary, run_folder, checkpoints, chief=is_chief(strategy))
        if is_chief(strategy):
            export_saved_model(gan.averaged, config, model_folder, warmup_photo=held_out[0].numpy())
            _write_record(summary, run_folder)
    except _FILE_ERRORS as error:
        raise TintypeError(f"training {config.recipe} ended: {error.message}") from error
    return summary


def _new_summary(gan: ColorGan, *, strategy: str, photos: int) -> TrainingSummary:
    return TrainingSummary(
        recipe=gan.config.recipe,
        strategy=strategy,
        precision=gan.precision,
        photos=photos,
        generator_parameters=count_parameters(gan.generator),
        discriminator_parameters=count_parameters(gan.discriminator) if gan.discriminator else 0,
    )


def _resume(gan: ColorGan, summary: TrainingSummary, folder: str | None, data_fingerprint: str) -> Checkpoints | None:
    """The run's checkpoints; `gan` and `summary` go on from the newest, where there is one."""
    if folder is None:
        return None
    checkpoints = Checkpoints(folder, gan.config, data_fingerprint)
    if (progress := checkpoints.restore(gan)) is not None:
        summary.history, summary.seconds = progress.history, progress.seconds
        summary.steps = summary.resumed_at = int(gan.step.numpy())
    return checkpoints


def _write_record(summary: TrainingSummary, run_folder: str) -> None:
    write_curves(summary.history, f"{run_folder}/curves.png", title=summary.recipe)
    with tf.io.gfile.GFile(f"{run_folder}/training.json", "w") as file:
        json.dump(dataclasses.asdict(summary), file, indent=2)


def _fit(
    gan: ColorGan,
    batches: StepBatches,
    held_out: tf.Tensor,
    summary: TrainingSummary,
    run_folder: str,
    checkpoints: Checkpoints | None,
    *,
    chief: bool,
) -> None:
    """Take the steps; after each call of several, whatever is due then.

    Every worker takes the steps and comes to the same decisions; the chief alone measures and writes.
    """
    settings = gan.config.train
    writer = tf.summary.create_file_writer(run_folder) if chief else tf.summary.create_noop_writer()
    line = TrainingProgress(settings.steps, settings.batch_size, settings.max_minutes, visible=chief)
    good_weights = GoodWeights(gan.averaged)
    actions: list[PeriodicAction] = [
        LogLosses(settings.log_every),
        StopOnCollapse(CollapseWatch(summary.history), good_weights),
        Measure(settings.picture_every, summary, HeldOutPreview(gan, held_out, run_folder) if chief else None),
    ]
    if settings.plateau is not None:
        actions.append(LowerRatesOnPlateau(settings.picture_every, settings.plateau, gan, summary))
    if chief and checkpoints:
        actions.append(SaveCheckpoint(settings.checkpoint_every, checkpoints, gan, summary))
    actions.append(ShowProgress(line, summary))
    time_limit = TimeLimit(settings.max_minutes)

    with StopSignals() as signals, line, writer.as_default():
        pace = Pace(gan, summary)
        is_last = time_limit.is_over(summary.seconds) or summary.steps >= settings.steps
        summary.stopped = "time" if is_last and summary.steps < settings.steps else "finished"
        while not is_last:
            count, phase = pace.next_call()
            means = gan.train_steps(batches.of(phase), tf.constant(count), **phase._asdict())
            readings = {name: float(value) for name, value in means.items()}
            if wrong := not_finite(readings):
                good_weights.restore(step=summary.steps + count, wrong=wrong)
                summary.stopped = "diverged"
                break
            pace.took(count)
            out_of_time, told_to_stop = any_worker(
                gan.strategy, time_limit.is_over(summary.seconds), signals.received is not None
            )
            is_last = out_of_time or summary.steps == settings.steps
            moment = Moment(summary.steps, count, readings, pace.is_first, is_last, told_to_stop)
            with pace.clock.paused():
                for action in actions:
                    if not moment.stopped:
                        action(moment)
            if moment.stopped:
                summary.stopped = moment.stopped
                break
            if out_of_time and summary.steps < settings.steps:
                summary.stopped = "time"
            if told_to_stop and not is_last:
                raise told_to_stop_at(summary.steps, signals.received, goes_on=checkpoints is not None)
    summary.seconds = round(summary.seconds, 1)
