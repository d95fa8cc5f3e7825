"""What a batch job writes about itself: report, manifest, contact sheet, and the counts its summary is made of."""

import hashlib
import json
from typing import Any, cast

import apache_beam as beam
import pyarrow
from apache_beam.pvalue import PCollection
from apache_beam.transforms import combiners

from photo.errors import TintypeError
from serving.batch.contact_sheet import contact_sheet
from serving.batch.file_systems import open_file
from serving.batch.job import BatchJob
from serving.batch.outcomes import FAILED, Outcome
from serving.batch.output_settings import OWN_FOLDER
from serving.batch.outputs import write_file

REPORT_NAME = "report.jsonl"
MANIFEST_NAME = "manifest.parquet"
SUMMARY_NAME = "summary.json"
CONTACT_SHEET_NAME = "contact_sheet.html"
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
    ]
)


def write_reports(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    """Add what the job writes of its outcomes to their pipeline."""
    _write_report(outcomes, job)
    _write_manifest(outcomes, job)
    _write_counts(outcomes, job)
    if job.options.sample:
        _write_contact_sheet(outcomes, job)


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


def _write_report(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    (
        outcomes
        | "Failed" >> beam.Filter(lambda outcome: outcome.status == FAILED)
        | "ReportLine" >> beam.Map(_report_line)
        | "WriteReport" >> beam.io.WriteToText(job.report_location(REPORT_NAME), num_shards=1, shard_name_template="")
    )


def _report_line(outcome: Outcome) -> str:
    line = {"path": outcome.path, "reason": outcome.reason, "detail": outcome.detail}
    return json.dumps(line, ensure_ascii=False)


def _write_manifest(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    (
        outcomes
        | "Colored" >> beam.Filter(lambda outcome: outcome.status != FAILED)
        | "ManifestRow" >> beam.Map(manifest_row)
        | "WriteManifest"
        >> beam.io.WriteToParquet(
            job.report_location(MANIFEST_NAME.removesuffix(".parquet")),
            MANIFEST_SCHEMA,
            file_name_suffix=".parquet",
            num_shards=job.options.manifest_shards,
            shard_name_template="" if job.options.manifest_shards == 1 else None,
        )
    )


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
        lambda found, location: write_file(location, json.dumps(found).encode()), job.report_location(_COUNTS_NAME)
    )


def _write_contact_sheet(outcomes: PCollection[Outcome], job: BatchJob) -> None:
    (
        outcomes
        | "Shown" >> beam.Filter(lambda outcome: outcome.status != FAILED)
        | "Draw" >> combiners.Top.Smallest(job.options.sample, key=_sampling_key)
        | "WriteContactSheet"
        >> beam.Map(
            lambda sample, output, location: write_file(location, contact_sheet(sample, output).encode()),
            job.output,
            job.report_location(CONTACT_SHEET_NAME),
        )
    )


def _sampling_key(outcome: Outcome) -> str:
    """Return the order of a draw that takes the same sample from the same photographs."""
    return hashlib.sha256(outcome.output.encode("utf-8", "surrogateescape")).hexdigest()
