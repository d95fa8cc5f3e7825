"""`tintype submit`: a run of the pipeline on a cluster."""

import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.runners.kubeflow_options import TOKEN_VARIABLE, KubeflowEndpoint, KubeflowOptions
from tintype.command_options import expand_options
from tintype.commands.compile import kubeflow_yaml
from tintype.commands.config_options import Settings

app = typer.Typer(help="Start a run of the pipeline on a cluster.", no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def _submit() -> None:
    """Keep `kubeflow` a word of the command line while it is the only one."""


@app.command("kubeflow")
@expand_options
def submit_kubeflow(
    endpoint: KubeflowEndpoint,
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
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end; the exit code is 1 if it is no success.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds to wait at most; the run goes on.")] = None,
    config: Annotated[str | None, typer.Option(help="Instead of --pipeline: compile this recipe or YAML file.")] = None,
    settings: Settings = None,
    options: KubeflowOptions = KubeflowOptions(),  # noqa: B008 - frozen
) -> None:
    """Start a run on Kubeflow Pipelines, version 2.

    A token never stands on the command line, where every process of the machine can read it. Example:

        tintype submit kubeflow --endpoint http://localhost:8888 --pipeline pipeline.yaml \\
            --param data=gs://archive/photos --param steps=20000 --wait
    """
    from pipeline.runners.kubeflow_run import SUCCEEDED, submit_run, wait_for_run

    if (pipeline is None) == (config is None):
        raise typer.BadParameter("give one of them", param_hint="--pipeline, --config")
    if pipeline is not None and (settings or options.image or options.data or options.checkpoint_base):
        raise typer.BadParameter(
            "belong to --config; a compiled pipeline takes --param", param_hint="--set, --image, --data, --checkpoints"
        )
    server = dataclasses.replace(endpoint, token=os.environ.get(TOKEN_VARIABLE) or None)
    with tempfile.TemporaryDirectory(prefix="tintype-submit-") as folder:
        if pipeline is None:
            pipeline = Path(folder) / "pipeline.yaml"
            pipeline.write_text(kubeflow_yaml(config or "", settings, options))
        client, run_id = submit_run(
            server,
            pipeline,
            parameters=parameters or [],
            experiment=experiment,
            run_name=run_name or f"tintype {config or pipeline.stem} {time.strftime('%Y-%m-%d %H:%M:%S')}",
            pipeline_root=options.pipeline_root,
        )
    typer.echo(run_id)
    if not wait:
        return
    state = wait_for_run(
        client, server, run_id, timeout=timeout, tell=lambda line: print(line, file=sys.stderr, flush=True)
    )
    if state != SUCCEEDED:
        raise typer.Exit(1)
