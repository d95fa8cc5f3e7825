"""How many steps of a training are taken at a time, and how long it has trained."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from components.trainer.gan import ColorGan
from components.trainer.strategy import mean_over_workers
from components.trainer.summary import TrainingSummary

# A call of several steps returns after about this long: a signal is heeded then.
CALL_SECONDS = 5.0


class TrainingClock:
    """Seconds of training: without the tracing of the first step, and without what is done between steps.

    Args:
        seconds_before: those of the run that goes on.
    """

    def __init__(self, seconds_before: float):
        self._before = seconds_before
        self._paused = 0.0
        self._started = time.monotonic()

    def restart(self) -> None:
        """Count from now on: the first step was traced."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of training, with those of the run that goes on."""
        return self._before + time.monotonic() - self._started - self._paused

    @property
    def seconds_with_pauses(self) -> float:
        """Since the first step, with all that was done beside training."""
        return time.monotonic() - self._started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Not to be counted."""
        began = time.monotonic()
        yield
        self._paused += time.monotonic() - began


class Phase(NamedTuple):
    """Which networks take part in a step.

    Attributes:
        adversarial: whether the discriminator does.
        encoder_learns: whether the generator's pretrained encoder, where it has one, is trained as well.
    """

    adversarial: bool = True
    encoder_learns: bool = True


class Pace:
    """Says how many steps the next call of `ColorGan.train_steps` takes, and counts those taken into the summary.

    Args:
        gan: that is trained.
        summary: of the run; its steps and seconds are those of the run that goes on.
    """

    def __init__(self, gan: ColorGan, summary: TrainingSummary):
        self._gan = gan
        self._settings = gan.config.train
        self._summary = summary
        self._resumed_at, self._seconds_before = summary.steps, summary.seconds
        self._adversarial = False
        self.clock = TrainingClock(summary.seconds)

    def next_call(self) -> tuple[int, Phase]:
        """How many steps, up to the next that something happens after, and who takes part in them."""
        step, settings = self._summary.steps, self._settings
        if settings.max_minutes is not None and self._summary.seconds > 0:
            expected = step * settings.max_minutes * 60 / self._summary.seconds
            self._gan.last_step.assign(min(settings.steps, mean_over_workers(self._gan.strategy, expected)))
        adversarial_start = math.ceil(settings.loss.adversarial_start * float(self._gan.last_step.numpy()))
        self._adversarial = self._adversarial or step >= adversarial_start
        intervals = (settings.log_every, settings.picture_every, settings.checkpoint_every)
        end = min(settings.steps, *(step + every - step % every for every in intervals))
        if not self._adversarial:
            end = min(end, adversarial_start)
        frozen_steps = settings.optimizer.encoder_frozen_steps
        if step < frozen_steps:
            end = min(end, frozen_steps)
        phase = Phase(self._adversarial, step >= frozen_steps)
        if step == self._resumed_at:
            return 1, phase  # tracing the graph must not count into the speed
        seconds_per_step = (self._summary.seconds - self._seconds_before) / max(step - self._resumed_at - 1, 1)
        return min(end - step, max(1, int(CALL_SECONDS / max(seconds_per_step, 1e-3)))), phase

    @property
    def is_first(self) -> bool:
        """Whether a single step was taken in this process so far."""
        return self._summary.steps == self._resumed_at + 1

    def took(self, count: int) -> None:
        """Count the steps of a call into the summary, with the time they took."""
        self._summary.steps += count
        if self.is_first:
            self.clock.restart()
        self._summary.seconds = self.clock.seconds
        images = (self._summary.steps - self._resumed_at - 1) * self._settings.batch_size
        self._summary.images_per_second = round(images / max(self.clock.seconds_with_pauses, 1e-9), 1)
