"""A batch job: colours photographs, and leaves a report, a manifest, a contact sheet and a summary."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow
from apache_beam.options.pipeline_options import PipelineOptions

from photo.decoding import MAX_PIXELS
from photo.errors import TintypeError
from serving.batch.contact_sheet import contact_sheet
from serving.batch.file_systems import is_local, open_file
from serving.batch.models import ColorHandler
from serving.batch.outcomes import DONE, FAILED, SKIPPED, Outcome
from serving.batch.outputs import OWN_FOLDER, BatchStopped, OutputSettings, join, write_file
from serving.batch.progress import CountFound, CountOutcomes, ProgressFolder, shown
from serving.batch.transforms import ColorizePhotos, ReadPhotos, Resume, WritePhotos

REPORT_NAME = "report.jsonl"
MANIFEST_NAME = "manifest.parquet"
SUMMARY_NAME = "summary.json"
CONTACT_SHEET_NAME = "contact_sheet.html"
_COUNTS_NAME = f"{OWN_FOLDER}/counts.json"

# What a killed run may leave behind: files of `write_whole`, and folders of Beam's sinks.
_LEFT_BEHIND = re.compile(r"\.[0-9a-f]{16}\.part|beam-temp-.+")

# The runner of this machine by its full name: the short one, DirectRunner, may stand for another that is downloaded.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"

MANIFEST_SCHEMA = pyarrow.schema(
    [
        ("path", pyarrow.string()),
        ("output", pyarrow.string()),
        ("status", pyarrow.string()),
        ("width", pyarrow.int32()),
        ("height", pyarrow.int32()),
        ("input_bytes", pyarrow.int64()),
        ("output_bytes", pyarrow.int64()),
        ("input_sha256", pyarrow.string()),
        ("output_sha256", pyarrow.string()),
        ("model_version", pyarrow.string()),
        ("model_fingerprint", pyarrow.string()),
        ("settings", pyarrow.string()),
        ("milliseconds", pyarrow.float64()),
        ("finished", pyarrow.timestamp("ms", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class BatchJob:
    """What to colour, and into what.

    Attributes:
        inputs: folders, globs, archives, lists, photographs.
        output: a folder, of this machine or of a Beam filesystem.
        handler: the model.
        settings: names and encoding of the outputs, strength of the colour, and whether a tint is kept.
        root: outputs mirror the inputs' places below this folder; None: below each input.
        max_bad_share: a larger share of failed photographs makes the job a failed one.
        max_pixels: larger photographs fail.
        sample: photographs on the contact sheet; 0 makes none.
        manifest_shards: files the manifest is split into.
        books: where report, manifest, contact sheet and summary go; None: into the output.
    """

    inputs: Sequence[str]
    output: str
    handler: ColorHandler
    settings: OutputSettings = OutputSettings()  # noqa: RUF009 - frozen
    root: str | None = None
    max_bad_share: float = 0.1
    max_pixels: int = MAX_PIXELS
    sample: int = 48
    manifest_shards: int = 1
    books: str | None = None

    def book(self, name: str) -> str:
        """Return where the report, or another such file, is written."""
        return join(self.books or self.output, name)


@dataclass(frozen=True)
class Summary:
    """What a job did.

    Attributes:
        done: photographs coloured by this run.
        skipped: photographs that an earlier run had coloured.
        failed: photographs left out, by reason.
        seconds: from the start of the runner to the last file.
        photos_per_second: of those coloured.
    """

    done: int
    skipped: int
    failed: dict[str, int]
    seconds: float
    photos_per_second: float

    @property
    def bad(self) -> int:
        """How many were left out."""
        return sum(self.failed.values())

    @property
    def total(self) -> int:
        """Photographs found."""
        return self.done + self.skipped + self.bad


def local_options(workers: int) -> list[str]:
    """Return Beam's options for this machine: 1 worker stays in this process, 0 takes one for every core."""
    if workers == 1:
        return [f"--runner={LOCAL_RUNNER}", "--direct_running_mode=in_memory"]
    workers = workers or len(os.sched_getaffinity(0))
    return [
        f"--runner={LOCAL_RUNNER}",
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={workers}",
    ]


def run_batch(job: BatchJob, options: Sequence[str], *, show_progress: bool = True) -> Summary:
    """Run a job; what an earlier run of it did is skipped.

    Args:
        job: what to do.
        options: Beam's, as `local_options` returns them or for another runner.
        show_progress: on standard error.

    Raises:
        BatchStopped: it could not go on; what was done is kept.
        TintypeError: nothing was found, another job writes there, or too large a share failed.
    """
    started = time.monotonic()
    with _alone(job.output), ProgressFolder() as progress:
        pipeline = beam.Pipeline(options=PipelineOptions(list(options), save_main_session=False))
        _build(pipeline, job, progress.path)
        try:
            with shown(progress.counts) if show_progress else contextlib.nullcontext():
                pipeline.run().wait_until_finish()
        except Exception as error:  # whatever a runner makes of what a worker raised
            raise _explained(error) from error
    seconds = time.monotonic() - started
    counts = _read_counts(job.book(_COUNTS_NAME))
    done, skipped = counts.pop(DONE, 0), counts.pop(SKIPPED, 0)
    summary = Summary(done, skipped, counts, round(seconds, 1), round(done / seconds, 2))
    write_file(job.book(SUMMARY_NAME), json.dumps(asdict(summary), indent=2).encode())
    return summary


def check_summary(summary: Summary, job: BatchJob) -> None:
    """Raise a TintypeError when nothing was found or too much of it failed."""
    if summary.total == 0:
        raise TintypeError(f"no photographs in {', '.join(job.inputs)}")
    if summary.bad > job.max_bad_share * summary.total:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.failed.items()))
        raise TintypeError(
            f"{summary.bad} of {summary.total} photographs failed ({reasons}), more than the accepted share of "
            f"{job.max_bad_share:g}; each is named in {job.book(REPORT_NAME)}"
        )


def _build(pipeline: beam.Pipeline, job: BatchJob, progress_folder: str) -> None:
    read = pipeline | "Read" >> ReadPhotos(
        job.inputs,
        settings=job.settings,
        output=job.output,
        root=job.root,
        resume=Resume(job.output, job.handler),
        counter=CountFound(progress_folder),
    )
    colored = read.photos | "Colorize" >> ColorizePhotos(
        job.handler, max_pixels=job.max_pixels, keep_tint=job.settings.keep_tint
    )
    written = colored.photos | "Write" >> WritePhotos(job.output, settings=job.settings)
    # Counted before they are flattened: a runner may gather a flattened collection until its stage ends.
    counted = [
        outcomes | f"Count{name}" >> beam.ParDo(CountOutcomes(progress_folder))
        for name, outcomes in (("Read", read.outcomes), ("Colored", colored.outcomes), ("Written", written))
    ]
    outcomes = counted | "Outcomes" >> beam.Flatten()
    _write_report(outcomes, job)
    _write_manifest(outcomes, job)
    _write_counts(outcomes, job)
    if job.sample:
        _write_contact_sheet(outcomes, job)


def _write_report(outcomes: beam.PCollection, job: BatchJob) -> None:
    (
        outcomes
        | "Failed" >> beam.Filter(lambda outcome: outcome.status == FAILED)
        | "ReportLine" >> beam.Map(_report_line)
        | "WriteReport" >> beam.io.WriteToText(job.book(REPORT_NAME), num_shards=1, shard_name_template="")
    )


def _report_line(outcome: Outcome) -> str:
    line = {"path": outcome.path, "reason": outcome.reason, "detail": outcome.detail}
    return json.dumps(line, ensure_ascii=False)


def _write_manifest(outcomes: beam.PCollection, job: BatchJob) -> None:
    (
        outcomes
        | "Colored" >> beam.Filter(lambda outcome: outcome.status != FAILED)
        | "ManifestRow" >> beam.Map(manifest_row)
        | "WriteManifest"
        >> beam.io.WriteToParquet(
            job.book(MANIFEST_NAME.removesuffix(".parquet")),
            MANIFEST_SCHEMA,
            file_name_suffix=".parquet",
            num_shards=job.manifest_shards,
            shard_name_template="" if job.manifest_shards == 1 else None,
        )
    )


def manifest_row(outcome: Outcome) -> dict[str, Any]:
    """Return the row of a photograph in the manifest."""
    row = {name: getattr(outcome, name) for name in MANIFEST_SCHEMA.names}
    return row | {"finished": round(1000 * outcome.finished)}


def _write_counts(outcomes: beam.PCollection, job: BatchJob) -> None:
    counts = (
        outcomes
        | "Kind" >> beam.Map(lambda outcome: outcome.reason or outcome.status)
        | "CountKinds" >> beam.combiners.Count.PerElement()
        | "GatherKinds" >> beam.combiners.ToDict()
    )
    counts | "WriteCounts" >> beam.Map(
        lambda found, location: write_file(location, json.dumps(found).encode()), job.book(_COUNTS_NAME)
    )


def _write_contact_sheet(outcomes: beam.PCollection, job: BatchJob) -> None:
    (
        outcomes
        | "Shown" >> beam.Filter(lambda outcome: outcome.status != FAILED)
        | "Draw" >> beam.combiners.Top.Smallest(job.sample, key=_lot)
        | "WriteContactSheet"
        >> beam.Map(
            lambda sample, output, location: write_file(location, contact_sheet(sample, output).encode()),
            job.output,
            job.book(CONTACT_SHEET_NAME),
        )
    )


def _lot(outcome: Outcome) -> str:
    """Return what draws the same sample from the same photographs."""
    return hashlib.sha256(outcome.output.encode("utf-8", "surrogateescape")).hexdigest()


def _read_counts(location: str) -> dict[str, int]:
    try:
        with open_file(location) as file:
            return json.loads(file.read())
    except (OSError, ValueError) as error:
        raise TintypeError(f"the job ended without its counts in {location}: {error}") from error


@contextmanager
def _alone(output: str) -> Iterator[None]:
    """Refuse a second job into the same folder of this machine while one runs."""
    if not is_local(output):
        yield
        return
    folder = Path(output) / OWN_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TintypeError(f"another job writes into {output}; wait for it, or choose another folder") from error
        _sweep(output)
        yield


def _sweep(output: str) -> None:
    """Remove what a killed run has left half-written, under names that no photograph has."""
    for folder, subfolders, files in os.walk(output):
        for name in filter(_LEFT_BEHIND.fullmatch, files):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))
        for name in filter(_LEFT_BEHIND.fullmatch, list(subfolders)):
            subfolders.remove(name)
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def _explained(error: Exception) -> Exception:
    """Return what a worker meant to say; a runner hands on its error inside a text of its own."""
    pattern = (
        r"(.+?)( \[while running|$)" if isinstance(error, BatchStopped) else r"BatchStopped: (.+?)( \[while|\\n|\n|$)"
    )
    found = re.search(pattern, str(error))
    return BatchStopped(found[1]) if found else error
