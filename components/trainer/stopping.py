"""What makes a run stop: its last step, its time, a signal, losses that left the finite numbers, a collapse.

The signals are heard in `stop_signals`, a collapse is seen in `collapse`; a worker that is gone ends a run too, with
`strategy.WorkerGoneError`.
"""

import math
from collections.abc import Mapping

import keras
import numpy as np
from absl import logging
from numpy.typing import NDArray

from photo.errors import TintypeError


class TrainingDivergedError(TintypeError):
    """The losses left the finite numbers before there were any good weights to keep."""


class TrainingStoppedError(TintypeError):
    """A signal ended the run before it was finished."""


class TimeLimit:
    """Says when `train.max_minutes` are over.

    Args:
        max_minutes: of training; None for no end.
    """

    def __init__(self, max_minutes: float | None):
        self.seconds = math.inf if max_minutes is None else max_minutes * 60

    def is_over(self, seconds: float) -> bool:
        """Whether a run that trained for so long ends."""
        return seconds > self.seconds


class GoodWeights:
    """The averaged weights as they were when the losses were good last.

    Args:
        averaged: the network whose weights are kept.
    """

    def __init__(self, averaged: keras.Model):
        self._averaged = averaged
        self._values: list[NDArray[np.float32]] | None = None

    @property
    def kept(self) -> bool:
        """Whether there are any."""
        return self._values is not None

    def keep(self) -> None:
        """Remember the weights as they are now."""
        self._values = [weight.numpy() for weight in self._averaged.weights]

    def restore(self, *, step: int, wrong: str) -> None:
        """Bring them back, since after `step` steps something is wrong.

        Raises:
            TrainingDivergedError: there are none.
        """
        if self._values is None:
            raise TrainingDivergedError(
                f"training diverged in its first {step} step(s) ({wrong}); lower train.optimizer's learning rates"
            )
        logging.error("training stopped at step %d, %s; the last good weights are kept", step, wrong)
        for weight, value in zip(self._averaged.weights, self._values, strict=True):
            weight.assign(value)


def not_finite(readings: Mapping[str, float]) -> str:
    """The readings that left the finite numbers, in words; "" when all are finite."""
    return ", ".join(f"{name}={value}" for name, value in readings.items() if not math.isfinite(value))


def told_to_stop_at(step: int, signal: str | None, *, goes_on: bool) -> TrainingStoppedError:
    """The error of a run that this worker's signal, or another worker's, ended before its time."""
    where = "the same command goes on from there" if goes_on else "it left no checkpoint"
    return TrainingStoppedError(f"{signal or 'another worker'} ended training at step {step}; {where}")
