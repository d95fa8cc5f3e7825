"""What happens every so many steps of a training: each is a small object, called after every call of several steps."""

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

from components.trainer.checkpoints import Checkpoints, Progress
from components.trainer.collapse import CollapseWatch
from components.trainer.config import PlateauConfig
from components.trainer.gan import ColorGan
from components.trainer.held_out import HeldOutLosses, scores
from components.trainer.plateau import count_plateaus
from components.trainer.progress import TrainingProgress
from components.trainer.stopping import GoodWeights
from components.trainer.summary import TrainingSummary


@dataclasses.dataclass
class Moment:
    """Where a run stands after a call of several steps.

    Attributes:
        step: steps taken.
        count: those of the last call.
        readings: the means of the losses over them.
        is_first: nothing was taken before in this process.
        is_last: the run's steps or its time are over.
        told_to_stop: by a signal, in this worker or another.
        logged: the means since they were logged before, where they are logged now.
        figures: what was measured now.
        stopped: set by an action that ends the run: the word for `TrainingSummary.stopped`.
    """

    step: int
    count: int
    readings: dict[str, float]
    is_first: bool
    is_last: bool
    told_to_stop: bool
    logged: dict[str, float] | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    stopped: str | None = None


# Called after every call of several steps; decides by itself whether it is time.
PeriodicAction = Callable[[Moment], None]


class RunningMeans:
    """Running means of the readings of calls of several steps."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, readings: Mapping[str, float], steps: int) -> None:
        """Add the means over so many steps."""
        for name, value in readings.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * steps
        self._steps += steps

    def take(self) -> dict[str, float]:
        """The means since the last call of this."""
        means = {name: total / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means


@dataclasses.dataclass
class LogLosses:
    """Writes the means of the losses for TensorBoard, every `every` steps and at both ends."""

    every: int
    means: RunningMeans = dataclasses.field(default_factory=RunningMeans)

    def __call__(self, moment: Moment) -> None:
        """Write them, if it is time."""
        self.means.add(moment.readings, moment.count)
        if moment.step % self.every == 0 or moment.is_first or moment.is_last:
            moment.logged = self.means.take()
            for name, value in moment.logged.items():
                tf.summary.scalar(name, value, step=moment.step)


@dataclasses.dataclass
class StopOnCollapse:
    """Ends a run whose colours became alike or whose loss grew out of hand, and brings the good weights back."""

    watch: CollapseWatch
    good_weights: GoodWeights

    def __call__(self, moment: Moment) -> None:
        """Look at the losses, if they were logged."""
        if moment.logged is None:
            return
        wrong = self.watch.update(moment.logged)
        if not self.watch.suspicious:
            self.good_weights.keep()
        if wrong and self.good_weights.kept:
            self.good_weights.restore(step=moment.step, wrong=wrong)
            moment.stopped = "collapsed"


class HeldOutPreview:
    """Measures and draws held-out photographs.

    Args:
        gan: whose averaged generator colours them.
        photos: uint8 [N, S, S, 3].
        run_folder: where the pictures go.
    """

    def __init__(self, gan: ColorGan, photos: tf.Tensor, run_folder: str):
        self._gan = gan
        self._losses = HeldOutLosses(gan)
        self._photos = photos
        self._folder = f"{run_folder}/pictures"
        tf.io.gfile.makedirs(self._folder)

    def measure(self, step: int) -> dict[str, float]:
        """Measure, draw and write for TensorBoard. Returns the figures."""
        figures, picture = self._gan.measure(self._photos)
        figures |= self._losses.measure(self._photos)
        for name, value in figures.items():
            tf.summary.scalar(name, value, step=step)
        tf.summary.image("gray_colored_true", picture[None], step=step)
        tf.io.write_file(f"{self._folder}/step_{step:06d}.png", tf.io.encode_png(picture))
        return figures


@dataclasses.dataclass
class Measure:
    """Adds a row to the history every `every` steps and at the end: mean losses, discriminator's scores, figures.

    Args:
        every: steps.
        summary: has the history, and tells the seconds.
        preview: measures and draws; None for a worker that does neither.
    """

    every: int
    summary: TrainingSummary
    preview: HeldOutPreview | None
    means: RunningMeans = dataclasses.field(default_factory=RunningMeans)

    def __call__(self, moment: Moment) -> None:
        """Add the row, if it is time."""
        self.means.add(moment.readings, moment.count)
        if moment.step % self.every and not moment.is_last:
            return
        if self.preview is not None:
            moment.figures = self.preview.measure(moment.step)
        means = self.means.take()
        if "real_called_real" in means:
            means |= scores(means["real_called_real"], means["generated_called_real"])
        row = {"step": moment.step, "seconds": round(self.summary.seconds, 1), **means}
        self.summary.history.append(row | moment.figures)


@dataclasses.dataclass
class LowerRatesOnPlateau:
    """Lowers both learning rates when the measured loss has stopped falling."""

    every: int
    plateau: PlateauConfig
    gan: ColorGan
    summary: TrainingSummary

    def __call__(self, moment: Moment) -> None:
        """Look at the history, if a row was added."""
        if moment.step % self.every == 0:
            plateaus = count_plateaus([row["generator_loss"] for row in self.summary.history], self.plateau)
            self.gan.rate_factor.assign(self.plateau.factor**plateaus)


@dataclasses.dataclass
class SaveCheckpoint:
    """Keeps all that the run needs to go on, every `every` steps, at the end and when it was told to stop."""

    every: int
    checkpoints: Checkpoints
    gan: ColorGan
    summary: TrainingSummary

    def __call__(self, moment: Moment) -> None:
        """Write one, if it is time."""
        if moment.step % self.every == 0 or moment.told_to_stop or moment.is_last:
            self.checkpoints.save(self.gan, Progress(self.summary.seconds, self.summary.history))


@dataclasses.dataclass
class ShowProgress:
    """Brings the live line up to date after every call."""

    line: TrainingProgress
    summary: TrainingSummary

    def __call__(self, moment: Moment) -> None:
        """Show the latest losses and figures."""
        readings = (moment.logged or moment.readings) | moment.figures
        self.line.update(moment.step, self.summary.seconds, readings)
