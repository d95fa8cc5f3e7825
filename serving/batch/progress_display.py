"""Shows how far a job is: a bar on a terminal, lines elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serving.batch.progress import Counts


@contextmanager
def progress_shown(
    counts: Callable[[], Counts], *, terminal: bool | None = None, line_seconds: float = 10.0
) -> Iterator[None]:
    """Show the progress while the block runs: a bar on a terminal, elsewhere a line from time to time.

    Args:
        counts: tells how far the job is.
        terminal: whether somebody looks; None asks standard error.
        line_seconds: between two lines.
    """
    stop = threading.Event()
    if sys.stderr.isatty() if terminal is None else terminal:
        thread = threading.Thread(target=_show_bar, args=(counts, stop), name="progress", daemon=True)
    else:
        thread = threading.Thread(target=_show_lines, args=(counts, stop, line_seconds), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show_lines(counts: Callable[[], Counts], stop: threading.Event, pause: float) -> None:
    started: tuple[float, int] | None = None
    last = Counts()
    while not stop.wait(pause):
        now = counts()
        if now == last:
            continue
        last = now
        started = started or (time.monotonic(), now.finished)
        seconds = time.monotonic() - started[0]
        rate = (now.finished - started[1]) / seconds if seconds > 0 else 0.0
        left = f", {_clock((now.found - now.finished) / rate)} left" if rate > 0 else ""
        print(
            f"{now.finished} of {now.found} photographs, {rate:.1f}/s{left}, {now.failed} failed",
            file=sys.stderr,
            flush=True,
        )


def _show_bar(counts: Callable[[], Counts], stop: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failures]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, rate="", failures="")
        while not stop.wait(0.25):
            now = counts()
            if not now.found:
                continue
            speed = bar.tasks[0].speed
            bar.update(
                task,
                completed=now.finished,
                total=now.found,
                description="colouring" if now.finished else "finding",
                rate=f"{speed:.1f}/s" if speed else "",
                failures=f"[yellow]{now.failed} failed" if now.failed else "",
            )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
