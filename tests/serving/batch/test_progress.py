import io
import sys
import time

import pytest

from serving.batch import progress
from serving.batch.outcomes import DONE, FAILED, Outcome
from serving.batch.progress import CountFound, CountOutcomes, Counts, ProgressFolder, shown


def counted(step, items):
    step.setup()
    for item in items:
        assert list(step.process(item)) == [item]


def test_the_counts_of_all_steps_are_added_up():
    with ProgressFolder() as folder:
        counted(CountFound(folder.path), ["a", "b", "c"])
        counted(CountOutcomes(folder.path), [Outcome("a", DONE), Outcome("b", FAILED)])
        counted(CountOutcomes(folder.path), [Outcome("c", DONE)])
        assert folder.counts() == Counts(found=3, done=2, skipped=0, failed=1)
        assert folder.counts().finished == 3
    counted(CountFound(folder.path), ["a worker on another machine sees no folder, and goes on"])


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_shown_live_and_as_plain_lines_where_nobody_looks(terminal, monkeypatch):
    written = io.StringIO()
    written.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(progress, "_PLAIN_SECONDS", 0.05)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    moments = iter([Counts(found=40), Counts(40, 10, 0, 0), Counts(40, 20, 2, 3)])
    last = Counts(40, 30, 2, 3)
    with shown(lambda: next(moments, last)):
        time.sleep(1.6)
    text = written.getvalue()
    assert ("\x1b[" in text) == terminal
    assert "3 failed" in text
    assert "35/40" in text if terminal else "35 of 40 photographs" in text
