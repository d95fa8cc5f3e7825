"""How far a job is: workers of this machine count into small files, and the driver adds them up."""

import contextlib
import fcntl
import mmap
import os
import shutil
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics.metric import Metrics, MetricsFilter
from apache_beam.runners.runner import PipelineResult

from serving.batch.outcomes import DONE, FAILED, PASSED_OVER, SKIPPED, Outcome

METRICS_NAMESPACE = "tintype_batch"
_FOUND = "found"
_KINDS = (_FOUND, DONE, SKIPPED, FAILED)
_COUNTS = struct.Struct(f"<{len(_KINDS)}q")
_LIVING = "living"  # the driver holds a lock on this file as long as it lives


class Counts(NamedTuple):
    """How far a job is.

    Attributes:
        found: photographs found so far, or all of them once any is finished.
        done: coloured.
        skipped: that an earlier run had coloured.
        failed: left out.
    """

    found: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def finished(self) -> int:
        """Photographs that nothing more will happen to."""
        return self.done + self.skipped + self.failed


class CountFound(beam.DoFn):
    """Passes on what was found, and counts it."""

    def __init__(self, folder: str):
        self._folder = folder

    def setup(self) -> None:
        """Open this worker's counter."""
        self._counter = _Counter(self._folder)

    def process(self, found: Any) -> Iterator[Any]:
        """Count one."""
        self._counter.add(_FOUND)
        yield found


class CountOutcomes(beam.DoFn):
    """Passes outcomes on, and counts them by their status."""

    def __init__(self, folder: str):
        self._folder = folder

    def setup(self) -> None:
        """Open this worker's counter."""
        self._counter = _Counter(self._folder)

    def process(self, outcome: Outcome) -> Iterator[Outcome]:
        """Count one."""
        if outcome.status != PASSED_OVER:
            self._counter.add(outcome.status)
        yield outcome


class ProgressFolder:
    """Where workers of this machine count; workers elsewhere do not see it, and count in Beam's metrics alone.

    A context manager of the driver. Workers end themselves when the driver is gone, because nobody would stop them:
    each waits for a lock that the driver holds.
    """

    def __enter__(self) -> "ProgressFolder":
        """Make the folder."""
        self.path = tempfile.mkdtemp(prefix="tintype-batch-")
        self._living = open(Path(self.path) / _LIVING, "w")
        fcntl.flock(self._living, fcntl.LOCK_EX)
        self._living.write(str(os.getpid()))
        self._living.flush()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it, and end the workers that still run."""
        self._living.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def counts(self) -> Counts:
        """Add up what the workers have counted."""
        total = [0] * len(_KINDS)
        for file in Path(self.path).glob("*.count"):
            with contextlib.suppress(OSError, struct.error):  # one that is only being made
                for index, count in enumerate(_COUNTS.unpack(file.read_bytes())):
                    total[index] += count
        return Counts(*total)


class JobProgress:
    """How far a job is, wherever its workers are.

    Attributes:
        running: the job, once its runner has taken it; None before.
    """

    def __init__(self, folder: ProgressFolder):
        self._folder = folder
        self.running: PipelineResult | None = None

    def counts(self) -> Counts:
        """Return what workers of this machine have counted; of others what the runner knows by Beam's metrics."""
        counts = self._folder.counts()
        if counts != Counts() or self.running is None:
            return counts
        try:
            counters = self.running.metrics().query(MetricsFilter().with_namespace(METRICS_NAMESPACE))["counters"]
        except Exception:  # whatever a runner raises that has none, or none yet: it is no reason to stop
            return counts
        total = dict.fromkeys(_KINDS, 0)
        for counter in counters:
            total[counter.key.metric.name] += counter.result or 0
        return Counts(**total)


class _Counter:
    """The counts of one step in one worker: in a file that the driver reads, and as Beam's metrics."""

    def __init__(self, folder: str):
        self._metrics = {kind: Metrics.counter(METRICS_NAMESPACE, kind) for kind in _KINDS}
        self._counts = [0] * len(_KINDS)
        self._memory: mmap.mmap | None = None
        if os.path.isdir(folder):
            with contextlib.suppress(OSError):
                file, _ = tempfile.mkstemp(".count", dir=folder)
                os.ftruncate(file, _COUNTS.size)
                self._memory = mmap.mmap(file, _COUNTS.size)
                os.close(file)
            _end_with_the_driver(folder)

    def add(self, kind: str) -> None:
        self._metrics[kind].inc()
        self._counts[_KINDS.index(kind)] += 1
        if self._memory is not None:
            _COUNTS.pack_into(self._memory, 0, *self._counts)


_WATCHED: set[str] = set()


def _end_with_the_driver(folder: str) -> None:
    """Let a thread end this process when the one that made the folder is gone."""
    if folder in _WATCHED:
        return
    _WATCHED.add(folder)
    try:
        living = open(os.path.join(folder, _LIVING))  # noqa: SIM115 - held until the end
    except OSError:
        return
    if living.read() == str(os.getpid()):  # a worker inside the driver
        living.close()
        return

    def wait() -> None:
        fcntl.flock(living, fcntl.LOCK_SH)
        os._exit(1)

    threading.Thread(target=wait, name="end-with-the-driver", daemon=True).start()
