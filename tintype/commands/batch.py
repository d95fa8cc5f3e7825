"""`tintype batch`: colours whole archives with Beam, on this machine or a cluster; what is done is not done again."""

import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photo.credentials import check
from serving.batch.job_options import DEFAULT_BATCH_SIZE, DEFAULT_CONCURRENCY, PATIENT_CONNECTION, JobOptions
from serving.batch.output_settings import OutputSettings
from serving.client.options import ConnectionOptions
from serving.model.quiet_tensorflow import startup_noise_set_aside
from tintype.command_options import Options, expand_options

if TYPE_CHECKING:
    from serving.batch.job import BatchJob
    from serving.batch.model_handler import ColorHandler
    from serving.batch.summary import BatchSummary

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}  # Beam's options are its own business

_OUTPUT, _MODEL, _RUN, _CONNECTION = "Output", "Model", "Run", "Connection"

Inputs = Annotated[
    list[str],
    typer.Option(
        "--input",
        metavar="PHOTOS",
        help="A folder, a glob such as 'scans/**/*.jpg', a .zip or .tar, or a list of them in a .txt; may be repeated.",
    ),
]
Output = Annotated[
    str, typer.Option(metavar="DIR", help="Gets the colourings in the inputs' folders; the job's own place.")
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="A SavedModel, or its base path. [default: the generator that comes with Tintype]",
        show_default=False,
        rich_help_panel=_MODEL,
    ),
]
Server = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Or a server's gRPC port, which all workers share.", rich_help_panel=_MODEL),
]
BatchSize = Annotated[
    int, typer.Option(min=1, max=1024, help="Photographs the network sees at once.", rich_help_panel=_MODEL)
]
Settings = Annotated[
    OutputSettings,
    Options(
        "suffix",
        "name",
        "quality",
        "tiff_compression",
        "strength",
        "look",
        "warmth",
        "saturation",
        "reference",
        "keep_tint",
        "color_photos",
        "keep_date",
        "render",
        "mark_metadata",
        "mark",
        "credentials",
        panel=_OUTPUT,
    ),
]
Job = Annotated[JobOptions, Options(panel=_OUTPUT)]
Workers = Annotated[int, typer.Option(min=0, help="Processes on this machine; 0: one a core.", rich_help_panel=_RUN)]
Watch = Annotated[bool, typer.Option("--watch", help="Go on with what arrives, until stopped.", rich_help_panel=_RUN)]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show all that Beam logs.", rich_help_panel=_RUN)]
Concurrency = Annotated[
    int, typer.Option(min=1, max=256, help="Requests a worker may have open.", rich_help_panel=_CONNECTION)
]
Connection = Annotated[
    ConnectionOptions,
    Options(
        "model_name",
        "version_label",
        "timeout",
        "tls",
        "token",
        model_name={"panel": _MODEL},
        version_label={"panel": _MODEL},
        timeout={"help": "Seconds a server may be away before the job ends."},
    ),
]


@expand_options
def batch(
    context: typer.Context,
    inputs: Inputs,
    output: Output,
    model: Model = None,
    server: Server = None,
    batch_size: BatchSize = DEFAULT_BATCH_SIZE,
    settings: Settings = OutputSettings(),  # noqa: B008 - frozen
    job_options: Job = JobOptions(),  # noqa: B008 - frozen
    workers: Workers = 0,
    watch: Watch = False,
    verbose: Verbose = False,
    concurrency: Concurrency = DEFAULT_CONCURRENCY,
    connection: Connection = PATIENT_CONNECTION,
) -> None:
    """Colour archives of photographs with Apache Beam: on all cores of this machine, on Flink, Dataflow or Spark.

    The same command again goes on where a run was stopped, and passes over what is done. On this machine:

        tintype batch --input 'scans/**/*.jpg' --output out/

        tintype batch --input 'scans/**/*.jpg' --output out/ --model serving/colorizer

    On a cluster, with a TensorFlow Serving that all workers share; options that are not listed here are Beam's:

        tintype batch --input 'gs://scans/**/*.tif' --output gs://coloured --server tfserving:8500 \\
            --runner FlinkRunner --flink_master host:8081 --environment_type DOCKER \\
            --environment_config registry/tintype-beam:1

    Writes report.jsonl (what failed, and why), manifest.parquet, contact_sheet.html and summary.json. The exit code is
    1 when more than --max-bad-share failed.
    """
    if model is not None and server is not None:
        raise typer.BadParameter("give one of --model and --server", param_hint="'--model' / '--server'")
    check(settings.credentials)
    _check_places([] if watch else inputs, output, model, context.args)
    _prepare_process(verbose, connection.token)
    typer.echo("starting: Beam and the model are loaded ...", err=True)
    beam_options = _runner_options(context.args, workers)
    if watch and context.args:
        raise typer.BadParameter("a watch runs on this machine, without Beam's options", param_hint="'--watch'")

    from serving.batch.job import BatchJob
    from serving.batch.model_in_worker import SavedModelHandler
    from serving.batch.model_on_server import server_handler

    handler: ColorHandler
    try:
        if server is None:
            handler = SavedModelHandler(model or _unpacked_generator(context.args), batch_size=batch_size)
        else:
            handler = server_handler(server, connection, batch_size=batch_size, concurrency=concurrency)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    job = BatchJob(inputs, output.rstrip("/") or "/", handler, settings, job_options)
    try:
        _watch(job, workers) if watch else _run(job, beam_options)
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command goes on with what {output} holds", err=True)
        raise typer.Exit(130) from None


def _check_places(inputs: list[str], output: str, model: str | None, beam_options: list[str]) -> None:
    """Say at once what would else be said when Beam and TensorFlow are loaded; not of workers elsewhere.

    Raises:
        TintypeError: the model is not there, nothing can be written, or no input leads to a photograph.
    """
    from photo.errors import TintypeError
    from tintype.places import check_is_there, check_may_write_below

    if any(option.startswith("--runner") for option in beam_options):
        return
    if model is not None:
        check_is_there(model, "the model")
    if "://" not in output:
        check_may_write_below(Path(output))
    if inputs and not any(map(_may_lead_to_photographs, inputs)):
        raise TintypeError(f"no photographs in {', '.join(inputs)}")


def _may_lead_to_photographs(location: str) -> bool:
    """Return False for a folder without a photograph, and for what is not there; globs are looked into later."""
    from photo.archives import FileEntry, FileReader
    from photo.finding import find_photographs
    from photo.folders import list_folder

    if "://" in location:
        return True
    if not os.path.exists(location):
        fixed = re.split(r"[*?\[]", location, maxsplit=1)[0]
        return fixed != location and os.path.isdir(os.path.dirname(fixed) or ".")
    if not os.path.isdir(location):
        return True
    with FileReader() as reader:
        files = list_folder(location, unlistable=lambda path, why: None)
        return any(isinstance(found, FileEntry) for found in find_photographs(files, location, reader))


def _run(job: "BatchJob", beam_options: list[str]) -> None:
    from serving.batch.running import check_summary, run_batch

    summary = run_batch(job, beam_options)
    _print_summary(summary, job)
    check_summary(summary, job)


def _prepare_process(verbose: bool, token: str | None) -> None:
    """Set what this process and the workers that it starts take from their environment."""
    logging.basicConfig(level=logging.INFO if verbose else logging.CRITICAL)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if token:
        os.environ["TINTYPE_TOKEN"] = token


def _unpacked_generator(runner_arguments: list[str]) -> str:
    """Return where the generator that comes with Tintype lies unpacked on this machine."""
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    from photo.errors import TintypeError
    from serving.model.shipped_generator import shipped_generator, unpack

    if PipelineOptions(runner_arguments).view_as(StandardOptions).runner is not None:
        raise typer.BadParameter(
            "workers elsewhere have no copy of the generator that comes with Tintype; give --model or --server",
            param_hint="'--model' / '--server'",
        )
    with startup_noise_set_aside(expected=(TintypeError, ModuleNotFoundError)):
        return str(unpack(shipped_generator()))


def _runner_options(arguments: list[str], workers: int) -> list[str]:
    """Return Beam's options: those given, or this machine's where no runner is named.

    Raises:
        typer.BadParameter: for an option that is not Beam's either.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    from serving.batch.local_runner import local_options

    options = PipelineOptions(arguments)
    known = options.get_all_options(drop_default=False)
    for argument in arguments:
        if argument.startswith("-") and argument.lstrip("-").partition("=")[0].replace("-", "_") not in known:
            raise typer.BadParameter(f"no such option: {argument.partition('=')[0]}")
        if not argument.startswith("-") and argument == arguments[0]:
            raise typer.BadParameter(f"what is {argument}? Quote globs, and give each input its own --input")
    if options.view_as(StandardOptions).runner is not None:
        return arguments
    return [*local_options(workers), *arguments]


def _watch(job: "BatchJob", workers: int) -> None:
    import signal
    import threading

    from serving.batch.watching import watch

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    typer.echo(f"watching {', '.join(job.inputs)}; Ctrl-C stops", err=True)
    watch(job, stop, workers=workers, tell=lambda summary: _print_summary(summary, job))
    typer.echo("stopped", err=True)


def _print_summary(summary: "BatchSummary", job: "BatchJob") -> None:
    failed = ""
    if summary.bad:
        failed = f", {summary.bad} failed ({summary.reasons}; see {job.report_location('report.jsonl')})"
    skipped = f", {summary.skipped} done before" if summary.skipped else ""
    typer.echo(
        f"coloured {summary.done} photograph{'s' if summary.done != 1 else ''} into {job.output}{skipped}{failed}: "
        f"{summary.seconds:.1f} s, {summary.photos_per_second:.1f}/s"
    )
    sys.stdout.flush()
