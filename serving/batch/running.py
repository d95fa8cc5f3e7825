"""Runs a batch job, and says whether too much of it failed."""

import contextlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from photo.errors import TintypeError
from serving.batch.errors import BatchStopped
from serving.batch.hints import read_job_hints
from serving.batch.job import BatchJob
from serving.batch.outcomes import DONE, PASSED_OVER, SKIPPED
from serving.batch.output_lock import only_job_into
from serving.batch.outputs import write_own_file
from serving.batch.progress import CountFound, CountOutcomes, JobProgress, ProgressFolder
from serving.batch.progress_display import progress_shown
from serving.batch.reports import (
    REPORT_NAME,
    SUMMARY_NAME,
    first_failure,
    read_counts,
    write_reports,
    write_reports_of_stopped,
)
from serving.batch.resuming import Resume
from serving.batch.summary import BatchSummary
from serving.batch.transforms import ColorizePhotos, ReadPhotos, WritePhotos


def run_batch(job: BatchJob, options: Sequence[str], *, show_progress: bool = True) -> BatchSummary:
    """Run a job; what an earlier run of it did is skipped.

    Args:
        job: what to do.
        options: Beam's, as `local_options` returns them or for another runner.
        show_progress: on standard error.

    Raises:
        BatchStopped: it could not go on; what was done is kept.
        TintypeError: another job writes there.
    """
    started = time.monotonic()
    with only_job_into(job.output), ProgressFolder() as progress:
        pipeline = beam.Pipeline(options=PipelineOptions(list(options), save_main_session=False))
        _build(pipeline, job, progress.path)
        try:
            job_progress = JobProgress(progress)
            with progress_shown(job_progress.counts) if show_progress else contextlib.nullcontext():
                job_progress.running = pipeline.run()
                job_progress.running.wait_until_finish()
        except Exception as error:  # whatever a runner makes of what a worker raised
            reason = _reason_of_stop(error)
            with contextlib.suppress(TintypeError):  # the place may be what stopped it
                write_reports_of_stopped(job, str(reason))
            raise reason from error
    seconds = time.monotonic() - started
    counts = read_counts(job)
    done, skipped = counts.pop(DONE, 0), counts.pop(SKIPPED, 0)
    counts.pop(PASSED_OVER, 0)  # lines of the report, no photographs
    summary = BatchSummary(done, skipped, counts, round(seconds, 1), round(done / seconds, 2))
    write_own_file(job.report_location(SUMMARY_NAME), json.dumps(asdict(summary), indent=2).encode())
    return summary


def check_summary(summary: BatchSummary, job: BatchJob) -> None:
    """Raise a TintypeError when nothing was found, or all or too much of it failed."""
    if summary.total == 0:
        raise TintypeError(f"no photographs in {', '.join(job.inputs)}")
    if summary.bad == summary.total:
        raise TintypeError(
            f"none of the {summary.total} photographs could be coloured ({summary.reasons}); the first: "
            f"{first_failure(job)}; each is named in {job.report_location(REPORT_NAME)}"
        )
    if summary.bad > job.options.max_bad_share * summary.total:
        raise TintypeError(
            f"{summary.bad} of {summary.total} photographs failed ({summary.reasons}), more than the accepted share of "
            f"{job.options.max_bad_share:g}; each is named in {job.report_location(REPORT_NAME)}"
        )


def _build(pipeline: beam.Pipeline, job: BatchJob, progress_folder: str) -> None:
    read = pipeline | "Read" >> ReadPhotos(
        job.inputs,
        settings=job.settings,
        output=job.output,
        root=job.options.root,
        hints=read_job_hints(job.options.hints),
        resume=Resume(job.output, job.handler, job.options.verify),
        counter=CountFound(progress_folder),
    )
    colored = read.photos | "Colorize" >> ColorizePhotos(
        job.handler,
        max_pixels=job.options.max_pixels,
        keep_tint=job.settings.keep_tint,
        render=job.settings.render,
        color_photos=job.settings.color_photos,
    )
    written = colored.photos | "Write" >> WritePhotos(job.output, settings=job.settings)
    # Counted before they are flattened: a runner may gather a flattened collection until its stage ends.
    counted = [
        outcomes | f"Count{name}" >> beam.ParDo(CountOutcomes(progress_folder))
        for name, outcomes in (("Read", read.outcomes), ("Colored", colored.outcomes), ("Written", written))
    ]
    outcomes = counted | "Outcomes" >> beam.Flatten()
    write_reports(outcomes, job)


def _reason_of_stop(error: Exception) -> Exception:
    """Return what a worker meant to say; a runner hands on its error inside a text of its own."""
    pattern = (
        r"(.+?)( \[while running|$)" if isinstance(error, BatchStopped) else r"BatchStopped: (.+?)( \[while|\\n|\n|$)"
    )
    found = re.search(pattern, str(error))
    return BatchStopped(found[1]) if found else error
