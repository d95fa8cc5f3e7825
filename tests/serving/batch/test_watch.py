import json
import queue
import threading
from collections.abc import Callable

import pyarrow.parquet
import pytest

from photo.errors import TintypeError
from serving.batch.job import BatchJob
from serving.batch.job_options import JobOptions
from serving.batch.summary import BatchSummary
from serving.batch.watching import watch
from tests.serving.batch.conftest import files, write_photo


def test_what_arrives_is_coloured_until_it_is_stopped(handler, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    write_photo(folder / "first.jpg", 1)
    stop, summaries = threading.Event(), queue.SimpleQueue[BatchSummary]()
    job = BatchJob([str(folder)], str(out), handler, options=JobOptions(sample=0))

    def run() -> None:
        watch(job, stop, workers=1, look_seconds=0.05, tell=summaries.put)

    def wait_for(done: int, bad: int) -> None:
        """Take the summaries of rounds until so many photographs more were done and left out."""
        while done or bad:
            summary = summaries.get(timeout=120)
            done, bad = done - summary.done, bad - summary.bad
            assert min(done, bad) >= 0

    watching = threading.Thread(target=run)
    watching.start()
    try:
        wait_for(done=1, bad=0)
        write_photo(folder / "box" / "second.jpg", 2)
        (folder / "bad.jpg").write_text("no photograph")
        wait_for(done=1, bad=1)
        write_photo(folder / "first.jpg", 3)
        wait_for(done=1, bad=0)
    finally:
        stop.set()
        watching.join()
    assert files(out) == ["box/second.jpg", "first.jpg"]
    (failure,) = map(json.loads, (out / "report.jsonl").read_text().splitlines())
    assert failure["path"] == str(folder / "bad.jpg")
    rows = pyarrow.parquet.read_table(out / "manifest.parquet").to_pylist()
    assert [row["output"] for row in rows] == ["box/second.jpg", "first.jpg"]
    assert rows[1]["output_bytes"] == (out / "first.jpg").stat().st_size


class Looks(threading.Event):
    """Does a step before each look, and tells the watch to stop when there is none left."""

    def __init__(self, *steps: Callable[[], object]):
        super().__init__()
        self.steps = list(steps)

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        if self.steps:
            self.steps.pop(0)()
            return False
        return True


def test_a_file_is_left_alone_until_it_has_arrived_and_then_taken_once(handler, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    whole = write_photo(tmp_path / "whole.jpg", 1).read_bytes()
    summaries: list[BatchSummary] = []

    def write(data: bytes) -> Callable[[], object]:
        return lambda: (folder / "slow.jpg").write_bytes(data)

    def nothing() -> None:
        pass

    looks = Looks(write(whole[:300]), write(whole[:600]), write(whole), nothing, nothing, nothing)
    job = BatchJob([str(folder)], str(out), handler, options=JobOptions(sample=0))
    watch(job, looks, workers=1, tell=summaries.append)
    assert [(summary.done, summary.bad) for summary in summaries] == [(0, 0), (1, 0)]
    assert files(out) == ["slow.jpg"]


def test_only_folders_of_this_machine_can_be_watched(handler, tmp_path):
    job = BatchJob([str(tmp_path / "*.jpg")], str(tmp_path / "out"), handler)
    with pytest.raises(TintypeError, match="only folders of this machine"):
        watch(job, threading.Event())
