"""A comparison from the first photograph to the report: every entry trained and measured, one after another."""

import dataclasses
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.image_example_gen.source import read_source, source_of
from components.image_example_gen.summary import check_trainable, read_summary
from photo.errors import DataError
from pipeline.comparison.entries import Budget, ComparisonEntry
from pipeline.comparison.jobs import MeasuringJob, MethodJob, TrainingJob
from pipeline.comparison.methods.names import Method
from pipeline.comparison.report import write_report
from pipeline.comparison.result_files import RESULT_NAME, read_record
from pipeline.comparison.task_process import JOB_NAME, run_in_process
from pipeline.output_folder import output_folder
from serving.batch.file_systems import check_location, fingerprint


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared, on what, and under which conditions.

    Attributes:
        title, question: for the head of the report; the question may be "".
        data: photographs to train on; their split eval is measured unless there is `test_data`.
        test_data: other photographs to measure on, or None.
        size: side in pixels at which every entry is measured.
        rows: photographs in the grid.
        methods: of others, shown beside the entries.
    """

    title: str
    question: str
    entries: tuple[ComparisonEntry, ...]
    budget: Budget
    data: str
    test_data: str | None = None
    size: int = 128
    rows: int = 6
    methods: tuple[Method, ...] = ()


def run_comparison(comparison: Comparison, out: Path, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train and measure every entry, and write the report after each.

    A second run with the same folder keeps what is done: photographs that were taken in, entries that were trained and
    measured on the same photographs under the same budget. An entry that fails is reported and stops no other.

    Args:
        comparison: what to compare.
        out: gets report.html, report.json, report.md, grid.png, curves.png, and a folder for each entry's SavedModel.
        say: is told in a line what begins and what ended.

    Returns:
        the content of report.json; the `status` of an entry, and of a method, is `done`, `failed` or `waiting`.

    Raises:
        DataError: the photographs cannot be used.
        TintypeError: `out` cannot be written, or another run is at work there.
    """
    with output_folder(out) as out, _sigterm_as_keyboard_interrupt():
        check_location(comparison.data)
        if comparison.test_data is not None:
            check_location(comparison.test_data)
        examples = _ingest(comparison, out, say)
        jobs = [_job(comparison, entry, examples) for entry in comparison.entries]
        folders = [out / "entries" / _folder_name(entry.label) for entry in comparison.entries]
        report = _report(comparison, examples)
        _measure_methods(comparison, examples, report, out, say)
        for entry, row, job, folder in zip(comparison.entries, report["entries"], jobs, folders, strict=True):
            _add_result(row, job, folder)
            if row["status"] == "done":
                say(f"{entry.label}: done before")
        for number, (row, job, folder) in enumerate(zip(report["entries"], jobs, folders, strict=True), start=1):
            if row["status"] == "done":
                continue
            write_report(report, out)
            say(f"{row['label']} ({number} of {len(jobs)}): training for {comparison.budget}, then measuring")
            if read_record(folder / JOB_NAME).get("training_fingerprint") != job.training_fingerprint:
                shutil.rmtree(folder, ignore_errors=True)
            error = run_in_process("train_and_measure", dataclasses.asdict(job), folder)
            if error is None:
                _add_result(row, job, folder)
                error = None if row["status"] == "done" else "its process left no result"
            if error is not None:
                row.update(status="failed", error=error)
            say(f"{row['label']}: {row['status']}" + (f": {error}" if error else ""))
        write_report(report, out)
    return report


def _ingest(comparison: Comparison, out: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """Take the photographs in, once for all entries that want them alike; returns the Examples by entry's label."""
    examples: dict[str, Path] = {}
    for entry in comparison.entries:
        source = source_of(comparison.data, entry.config.data)
        folder = out / "examples" / _digest(source["config"])[:8]
        examples[entry.label] = folder
        if read_source(folder) == source:
            continue
        say(f"taking in {comparison.data}")
        job = {"location": comparison.data, "folder": str(folder), "config": source["config"]}
        error = run_in_process("ingest", job, out / "examples" / "work")
        if error is not None:
            raise DataError(error)
    for folder in examples.values():
        check_trainable(read_summary(str(folder)), comparison.data)
    return examples


def _measure_methods(
    comparison: Comparison, examples: dict[str, Path], report: dict[str, Any], out: Path, say: Callable[[str], None]
) -> None:
    """Measure the methods that learn nothing, before the entries, which take long."""
    for row in report["methods"]:
        folder = out / "methods" / row["method"]
        job = _method_job(comparison, row["method"], examples)
        _add_result(row, job, folder)
        if row["status"] == "done":
            say(f"{row['label']}: done before")
            continue
        say(f"{row['label']}: measuring")
        row["error"] = run_in_process("measure_method", dataclasses.asdict(job), folder)
        row["status"] = "failed"
        _add_result(row, job, folder)
        say(f"{row['label']}: {row['status']}" + (f": {row['error']}" if row["error"] else ""))


def _method_job(comparison: Comparison, method: str, examples: dict[str, Path]) -> MethodJob:
    first = examples[comparison.entries[0].label]
    measured_on = _measured_on(comparison, first)
    return MethodJob(
        method=method,
        examples=str(first),
        measured_examples=str(first),
        test_data=comparison.test_data,
        size=comparison.size,
        rows=comparison.rows,
        fingerprint=_digest([method, read_source(first), measured_on]),
    )


def _measured_on(comparison: Comparison, examples: Path) -> dict[str, Any]:
    return {
        "data": fingerprint(comparison.test_data) if comparison.test_data is not None else examples.name,
        "size": comparison.size,
        "rows": comparison.rows,
    }


def _job(comparison: Comparison, entry: ComparisonEntry, examples: dict[str, Path]) -> TrainingJob:
    config = entry.config.trainer_config().model_dump(mode="json")
    trained_from = {"config": config, "source": read_source(examples[entry.label])}
    # Splits are shares of the content's hash: whichever entry's examples are measured, no entry was trained on them.
    measured = examples[comparison.entries[0].label]
    measured_on = _measured_on(comparison, measured)
    return TrainingJob(
        trainer_config=config,
        examples=str(examples[entry.label]),
        measured_examples=str(measured),
        test_data=comparison.test_data,
        size=comparison.size,
        rows=comparison.rows,
        training_fingerprint=_digest(trained_from),
        fingerprint=_digest([trained_from, measured_on]),
    )


def _add_result(row: dict[str, Any], job: MeasuringJob, folder: Path) -> None:
    result = read_record(folder / RESULT_NAME)
    if result.get("fingerprint") == job.fingerprint:
        row.update(result, status="done", error=None, folder=f"{folder.parent.name}/{folder.name}")


def _report(comparison: Comparison, examples: dict[str, Path]) -> dict[str, Any]:
    summary = read_summary(str(examples[comparison.entries[0].label]))
    return {
        "title": comparison.title,
        "question": comparison.question,
        "budget": str(comparison.budget),
        "data": Path(comparison.data).name,
        "photographs": summary.model_dump(),
        "test_data": Path(comparison.test_data).name if comparison.test_data is not None else None,
        "size": comparison.size,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "entries": [
            {
                "label": entry.label,
                "recipe": entry.config.recipe,
                "settings": list(entry.settings),
                "size": entry.config.data.size,
                "batch_size": entry.config.train.batch_size,
                "config": entry.config.model_dump(mode="json"),
                "status": "waiting",
                "error": None,
            }
            for entry in comparison.entries
        ],
        "methods": [
            {"label": method.label, "method": method.value, "status": "waiting", "error": None}
            for method in comparison.methods
        ],
    }


def _folder_name(label: str) -> str:
    """A name for files, another for every label."""
    return f"{re.sub(r'[^A-Za-z0-9_]+', '-', label).strip('-')}-{_digest(label)[:6]}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def _sigterm_as_keyboard_interrupt() -> Iterator[None]:
    """Let SIGTERM end the comparison as Ctrl-C does: with its running entry, not beside it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
