"""The live line of a training run: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

# Seconds between two plain lines when the output is not a terminal.
PLAIN_LINE_SECONDS = 15.0


class TrainingProgress:
    """Shows step, images per second, time left, the losses and the last measured figures.

    Args:
        steps: how many the run takes at most.
        batch_size: images in one step.
        max_minutes: after which it ends; None for no such end.
        visible: False shows nothing.
    """

    def __init__(self, steps: int, batch_size: int, max_minutes: float | None = None, *, visible: bool = True):
        self._steps = steps
        self._batch_size = batch_size
        self._max_seconds = float("inf") if max_minutes is None else max_minutes * 60
        self._visible = visible
        self._figures: dict[str, float] = {}
        self._console = Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._recent: list[tuple[float, int]] = []
        self._last_line = 0.0

    def __enter__(self) -> "TrainingProgress":
        if self._visible and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                TextColumn("{task.fields[place]}  {task.fields[speed]:.0f} images/s"),
                TextColumn("{task.fields[left]} left  {task.fields[figures]}"),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task("training", total=1.0, place="", speed=0.0, left="?", figures="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, step: int, seconds: float, readings: dict[str, float]) -> None:
        """Show where the run stands.

        Args:
            step: steps taken.
            seconds: trained so far.
            readings: means of the latest steps.
        """
        now = time.monotonic()
        self._recent = [*self._recent[-20:], (now, step)]
        (first_time, first_step) = self._recent[0]
        steps_per_second = (step - first_step) / max(now - first_time, 1e-9)
        speed = steps_per_second * self._batch_size
        self._figures.update(readings)
        shown = [f"loss {self._figures['reconstruction_loss']:.4f}", f"D {self._figures['discriminator_loss']:.3f}"]
        if "psnr_gain_db" in self._figures:
            shown.append(f"PSNR {self._figures['psnr_gain_db']:+.2f} dB over gray")
        figures = "  ".join(shown)

        by_steps = (self._steps - step) / steps_per_second if steps_per_second else float("inf")
        by_time = max(0.0, self._max_seconds - seconds)
        if by_time < by_steps:
            place, share = (
                f"step {step}, {seconds / 60:.1f} of {self._max_seconds / 60:g} min",
                seconds / self._max_seconds,
            )
        else:
            place, share = f"{step}/{self._steps}", step / self._steps
        seconds_left = min(by_steps, by_time)
        left = f"{seconds_left / 60:.1f} min" if seconds_left < float("inf") else "?"
        if self._bar:
            self._bar.update(self._task, completed=share, place=place, speed=speed, left=left, figures=figures)
        elif self._visible and (now - self._last_line > PLAIN_LINE_SECONDS or step == self._steps):
            self._last_line = now
            print(f"training {place}  {speed:.0f} images/s  {left} left  {figures}", file=sys.stderr, flush=True)
