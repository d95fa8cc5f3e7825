"""The live line of a training run: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Seconds between two plain lines when the output is not a terminal.
PLAIN_LINE_SECONDS = 15.0


class TrainingProgress:
    """Shows step, images per second, time left, the losses and the last measured figures.

    Args:
        steps: how many the run takes.
        batch_size: images in one step.
    """

    def __init__(self, steps: int, batch_size: int):
        self._steps = steps
        self._batch_size = batch_size
        self._figures: dict[str, float] = {}
        self._console = Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._recent: list[tuple[float, int]] = []
        self._last_line = 0.0

    def __enter__(self) -> "TrainingProgress":
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]:.0f} images/s"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task("training", total=self._steps, speed=0.0, figures="")
        return self

    def __exit__(self, *_) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, step: int, readings: dict[str, float]) -> None:
        """Show where the run stands; `readings` are the means of the latest steps."""
        now = time.monotonic()
        self._recent = [*self._recent[-20:], (now, step)]
        (first_time, first_step) = self._recent[0]
        speed = (step - first_step) * self._batch_size / max(now - first_time, 1e-9)
        self._figures.update(readings)
        shown = [f"L1 {self._figures['reconstruction_loss']:.4f}", f"D {self._figures['discriminator_loss']:.3f}"]
        if "psnr_gain_db" in self._figures:
            shown.append(f"PSNR {self._figures['psnr_gain_db']:+.2f} dB over gray")
        figures = "  ".join(shown)
        if self._bar:
            self._bar.update(self._task, completed=step, speed=speed, figures=figures)
        elif now - self._last_line > PLAIN_LINE_SECONDS or step == self._steps:
            self._last_line = now
            seconds_left = (self._steps - step) * self._batch_size / speed if speed else 0.0
            print(
                f"training {step}/{self._steps}  {speed:.0f} images/s  {seconds_left / 60:.1f} min left  {figures}",
                file=sys.stderr,
                flush=True,
            )
