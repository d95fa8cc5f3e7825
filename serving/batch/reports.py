"""What a batch job writes about itself: report, manifest, contact sheet, and the counts its summary is made of."""

import hashlib
import itertools
import json
import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import apache_beam as beam
import pyarrow
import pyarrow.parquet
from apache_beam.pvalue import PCollection
from apache_beam.transforms import combiners

from photo.errors import TintypeError
from serving.batch.contact_sheet import contact_sheet
from serving.batch.file_systems import open_file
from serving.batch.job import BatchJob
from serving.batch.outcomes import PASSED_OVER, Outcome, failed
from serving.batch.output_settings import OWN_FOLDER
from serving.batch.outputs import join, size_of, write_own_file
from serving.batch.records import newest_records, read_records

REPORT_NAME = "report.jsonl"
MANIFEST_NAME = "manifest.parquet"
SUMMARY_NAME = "summary.json"
CONTACT_SHEET_NAME = "contact_sheet.html"
_ROWS_IN_A_GROUP = 10_000
_COUNTS_NAME = f"{OWN_FOLDER}/counts.json"

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
        ("notes", pyarrow.string()),
    ]
)


def write_reports(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    """Add what the job writes of its outcomes to their pipeline."""
    _write_report(outcomes, job)
    _write_manifest(outcomes, job)
    _write_counts(outcomes, job)
    if job.options.sample:
        _write_contact_sheet(outcomes, job)


def write_reports_of_stopped(job: BatchJob, reason: str) -> None:
    """Write report and manifest of a job that could not go on: why, and what all runs into its output have recorded."""
    stopped = failed(job.output, "stopped", reason)
    write_own_file(job.report_location(REPORT_NAME), encode_report([stopped]))
    shards = manifest_locations(job)
    recorded = standing_records(job.output)
    for index, location in enumerate(shards):
        rows = [record for record in recorded if shard_of(record, len(shards)) == index]
        write_own_file(location, encode_manifest(rows))


def standing_records(output: str) -> list[Outcome]:
    """Return of each output that is there as it was recorded the last record, in the order of their names."""
    newest = newest_records(read_records(output))
    return [record for name, record in sorted(newest.items()) if size_of(join(output, name)) == record.output_bytes]


def read_counts(job: BatchJob) -> dict[str, int]:
    """Return how many photographs ended each way, by reason of failure or by status, once the pipeline has run.

    Raises:
        TintypeError: the counts are not there.
    """
    location = job.report_location(_COUNTS_NAME)
    try:
        with open_file(location) as file:
            return cast(dict[str, int], json.loads(file.read()))
    except (OSError, ValueError) as error:
        raise TintypeError(f"the job ended without its counts in {location}: {error}") from error


def first_failure(job: BatchJob) -> str:
    """Return the first photograph of the job's report that failed, and why, in words; "" where there is none."""
    try:
        with open_file(job.report_location(REPORT_NAME)) as lines:
            found = (line for line in map(json.loads, lines) if line["reason"] != PASSED_OVER)
            return next((f"{line['path']}: {line['detail']}" for line in found), "")
    except (OSError, ValueError, KeyError):
        return ""


class WriteShard(beam.DoFn):
    """(shard, outcomes) -> nothing; the file appears whole, or not at all, under a name that is no pattern.

    Not Beam's sinks: they take the output's path for a glob, and leave folders behind when a job is stopped.

    Args:
        locations: of the files, by shard.
        encode: makes the bytes of a file of its outcomes.
    """

    def __init__(self, locations: Sequence[str], encode: Callable[[Iterable[Outcome]], bytes]):
        self._locations = locations
        self._encode = encode

    def process(self, shard: tuple[int, dict[str, Iterable[Outcome]]]) -> None:
        """Write one file."""
        index, found = shard
        write_own_file(self._locations[index], self._encode(found["outcomes"]))


def _write_shards(
    outcomes: PCollection[Outcome], locations: Sequence[str], encode: Callable[[Iterable[Outcome]], bytes], name: str
) -> None:
    """Write outcomes into files, by the hash of their paths; a file without any is written, too."""
    count = len(locations)
    keyed = outcomes | f"KeyBy{name}Shard" >> beam.Map(lambda outcome: (shard_of(outcome, count), outcome))
    every_shard = outcomes.pipeline | f"{name}Shards" >> beam.Create([(index, None) for index in range(count)])
    (
        {"outcomes": keyed, "shards": every_shard}
        | f"Gather{name}" >> beam.CoGroupByKey()
        | f"Write{name}" >> beam.ParDo(WriteShard(locations, encode))
    )


def shard_of(outcome: Outcome, count: int) -> int:
    """Return the index of the shard that an outcome goes to: always the same one."""
    return int.from_bytes(hashlib.sha256(outcome.path.encode("utf-8", "surrogateescape")).digest()[:8]) % count


def _write_report(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    left_out = outcomes | "LeftOut" >> beam.Filter(lambda outcome: not outcome.output)
    _write_shards(left_out, [job.report_location(REPORT_NAME)], encode_report, "Report")


def encode_report(outcomes: Iterable[Outcome]) -> bytes:
    """Return a line of JSON for each outcome."""
    lines = (json.dumps(_report_line(outcome), ensure_ascii=False) for outcome in outcomes)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _report_line(outcome: Outcome) -> dict[str, str]:
    return {"path": outcome.path, "reason": outcome.reason or outcome.status, "detail": outcome.detail}


def _write_manifest(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    colored = outcomes | "Colored" >> beam.Filter(lambda outcome: bool(outcome.output))
    _write_shards(colored, manifest_locations(job), encode_manifest, "Manifest")


def manifest_locations(job: BatchJob) -> list[str]:
    """Return where the shards of a job's manifest lie."""
    count = job.options.manifest_shards
    if count == 1:
        return [job.report_location(MANIFEST_NAME)]
    stem, suffix = posixpath.splitext(MANIFEST_NAME)
    return [job.report_location(f"{stem}-{index:05d}-of-{count:05d}{suffix}") for index in range(count)]


def encode_manifest(outcomes: Iterable[Outcome]) -> bytes:
    """Return a Parquet file with a row for each outcome, compressed as it grows."""
    sink = pyarrow.BufferOutputStream()
    rows = map(manifest_row, outcomes)
    with pyarrow.parquet.ParquetWriter(sink, MANIFEST_SCHEMA) as writer:
        while group := list(itertools.islice(rows, _ROWS_IN_A_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, MANIFEST_SCHEMA))
    return cast(bytes, sink.getvalue().to_pybytes())


def manifest_row(outcome: Outcome) -> dict[str, Any]:
    """Return the row of a photograph in the manifest."""
    row = {name: getattr(outcome, name) for name in MANIFEST_SCHEMA.names}
    return row | {"finished": round(1000 * outcome.finished)}


def _write_counts(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    counts = (
        outcomes
        | "Kind" >> beam.Map(lambda outcome: outcome.reason or outcome.status)
        | "CountKinds" >> combiners.Count.PerElement()
        | "GatherKinds" >> combiners.ToDict()
    )
    counts | "WriteCounts" >> beam.Map(
        lambda found, location: write_own_file(location, json.dumps(found).encode()), job.report_location(_COUNTS_NAME)
    )


def _write_contact_sheet(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    (
        outcomes
        | "Shown" >> beam.Filter(lambda outcome: bool(outcome.output))
        | "Draw" >> combiners.Top.Smallest(job.options.sample, key=_sampling_key)
        | "WriteContactSheet"
        >> beam.Map(
            lambda sample, output, location: write_own_file(location, contact_sheet(sample, output).encode()),
            job.output,
            job.report_location(CONTACT_SHEET_NAME),
        )
    )


def _sampling_key(outcome: Outcome) -> str:
    """Return the order of a draw that takes the same sample from the same photographs."""
    return hashlib.sha256(outcome.output.encode("utf-8", "surrogateescape")).hexdigest()
