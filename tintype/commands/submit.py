"""`tintype submit`: a run of the pipeline on a cluster."""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from tintype.commands.compile import (
    Cache,
    Checkpoints,
    Data,
    Image,
    PipelineRoot,
    Workers,
    kubeflow_yaml,
)
from tintype.commands.config_options import Settings

TOKEN_VARIABLE = "TINTYPE_KFP_TOKEN"

app = typer.Typer(help="Start a run of the pipeline on a cluster.", no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def _submit() -> None:
    """Keep `kubeflow` a word of the command line while it is the only one."""


@app.command("kubeflow")
def submit_kubeflow(
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="The API server, as http://localhost:8888 of a port-forward.")
    ],
    pipeline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What `tintype compile kubeflow` wrote; or give --config.")
    ] = None,
    experiment: Annotated[str, typer.Option(help="The runs' group; it is made if there is none.")] = "tintype",
    run_name: Annotated[
        str | None, typer.Option(help="The run's name. [default: the pipeline's and the time]", show_default=False)
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="data, destination, steps or image. May be repeated."),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="The profile's, on a server with several users.")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"Holds a bearer token, read before every call; or set {TOKEN_VARIABLE}."),
    ] = None,
    ca_cert: Annotated[Path | None, typer.Option(metavar="PEM", help="Authority of the server's certificate.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end; the exit code is 1 if it is no success.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds to wait at most; the run goes on.")] = None,
    config: Annotated[str | None, typer.Option(help="Instead of --pipeline: compile this recipe or YAML file.")] = None,
    settings: Settings = None,
    image: Image = None,
    data: Data = None,
    pipeline_root: PipelineRoot = None,
    checkpoints: Checkpoints = "",
    workers: Workers = 1,
    cache: Cache = True,
) -> None:
    """Start a run on Kubeflow Pipelines, version 2.

    A token never stands on the command line, where every process of the machine can read it. Example:

        tintype submit kubeflow --endpoint http://localhost:8888 --pipeline pipeline.yaml \\
            --param data=gs://archive/photos --param steps=20000 --wait
    """
    from pipeline.runners.kubeflow_run import SUCCEEDED, Endpoint, submit_run, wait_for_run

    if (pipeline is None) == (config is None):
        raise typer.BadParameter("give one of them", param_hint="--pipeline, --config")
    if pipeline is not None and (settings or image or data or checkpoints):
        raise typer.BadParameter(
            "belong to --config; a compiled pipeline takes --param", param_hint="--set, --image, --data, --checkpoints"
        )
    server = Endpoint(endpoint, os.environ.get(TOKEN_VARIABLE) or None, token_file, ca_cert, namespace)
    with tempfile.TemporaryDirectory(prefix="tintype-submit-") as folder:
        if pipeline is None:
            pipeline = Path(folder) / "pipeline.yaml"
            pipeline.write_text(
                kubeflow_yaml(config or "", settings, image, data, pipeline_root, checkpoints, workers, cache)
            )
        client, run_id = submit_run(
            server,
            pipeline,
            parameters=parameters or [],
            experiment=experiment,
            run_name=run_name or f"tintype {config or pipeline.stem} {time.strftime('%Y-%m-%d %H:%M:%S')}",
            pipeline_root=pipeline_root,
        )
    typer.echo(run_id)
    if not wait:
        return
    state = wait_for_run(
        client, server, run_id, timeout=timeout, tell=lambda line: print(line, file=sys.stderr, flush=True)
    )
    if state != SUCCEEDED:
        raise typer.Exit(1)
