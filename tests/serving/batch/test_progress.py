import io
import sys
import threading
from collections.abc import Sequence

import apache_beam as beam
import pytest

from serving.batch.outcomes import DONE, FAILED, Outcome
from serving.batch.progress import CountFound, CountOutcomes, Counts, ProgressFolder
from serving.batch.progress_display import progress_shown


def counted(step: beam.DoFn, items: Sequence[object]) -> None:
    step.setup()
    for item in items:
        assert list(step.process(item)) == [item]


def test_the_counts_of_all_steps_are_added_up() -> None:
    with ProgressFolder() as folder:
        counted(CountFound(folder.path), ["a", "b", "c"])
        counted(CountOutcomes(folder.path), [Outcome("a", DONE), Outcome("b", FAILED)])
        counted(CountOutcomes(folder.path), [Outcome("c", DONE)])
        assert folder.counts() == Counts(found=3, done=2, skipped=0, failed=1)
        assert folder.counts().finished == 3
    counted(CountFound(folder.path), ["a worker on another machine sees no folder, and goes on"])


class Screen(io.StringIO):
    """Standard error that tells when all of some texts have been written to it."""

    def __init__(self, terminal: bool, awaited: Sequence[str]):
        super().__init__()
        self._terminal = terminal
        self._awaited = awaited
        self.shown = threading.Event()

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        written = super().write(text)
        if all(each in self.getvalue() for each in self._awaited):
            self.shown.set()
        return written


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_shown_live_and_as_plain_lines_where_nobody_looks(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(terminal, ["3 failed", "35/40" if terminal else "35 of 40 photographs"])
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    moments = iter([Counts(found=40), Counts(40, 10, 0, 0), Counts(40, 20, 2, 3)])
    last = Counts(40, 30, 2, 3)
    with progress_shown(lambda: next(moments, last), line_seconds=0.05):
        assert screen.shown.wait(60), screen.getvalue()
    assert ("\x1b[" in screen.getvalue()) == terminal
