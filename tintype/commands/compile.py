"""`tintype compile`: the pipeline as other orchestrators take it."""

from pathlib import Path
from typing import Annotated

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly
from tintype.commands.config_options import Config, Settings

app = typer.Typer(
    help="Write the pipeline in the form that an orchestrator of a cluster takes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Image = Annotated[
    str | None, typer.Option(metavar="IMAGE", help="The steps' container image; default of the parameter `image`.")
]
Data = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Photographs as the steps see them; default of the parameter `data`."),
]
PipelineRoot = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where artifacts are kept, gs://, s3:// or minio://. [default: the server's]"),
]
Checkpoints = Annotated[
    str,
    typer.Option(metavar="FOLDER", help="On a volume of resources.volumes: a Trainer tried again goes on from there."),
]
Workers = Annotated[
    int, typer.Option(min=0, help="Processes of a step for reading and measuring photographs; 0: all cores.")
]
Cache = Annotated[bool, typer.Option("--cache/--no-cache", help="Reuse results of steps with unchanged inputs.")]


@app.command("kubeflow")
def compile_kubeflow(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The YAML file to write.")],
    config: Config = "tintype_lab",
    settings: Settings = None,
    image: Image = None,
    data: Data = None,
    pipeline_root: PipelineRoot = None,
    checkpoints: Checkpoints = "",
    workers: Workers = 1,
    cache: Cache = True,
) -> None:
    """Write the pipeline for Kubeflow Pipelines, version 2.

    `data`, `destination`, `steps` and `image` are parameters that every run may set; what is given here, and
    push.destination and train.steps of the config, are their defaults. Example:

        tintype compile kubeflow --config sn_unet_lab_128 --image registry.example/tintype-pipeline:1 -o pipeline.yaml
    """
    from photo.whole_file import write_whole

    if output.suffix not in (".yaml", ".yml"):
        raise typer.BadParameter(f"must end in .yaml or .yml, got {output}", param_hint="--output")
    text = kubeflow_yaml(config, settings, image, data, pipeline_root, checkpoints, workers, cache)
    write_whole(output, text.encode())
    typer.echo(f"wrote {output}")


def kubeflow_yaml(
    config: str,
    settings: list[str] | None,
    image: str | None,
    data: str | None,
    pipeline_root: str | None,
    checkpoints: str,
    workers: int,
    cache: bool,
) -> str:
    """The pipeline as YAML; the arguments are those of the command."""
    from pipeline.config import load_config
    from pipeline.runners.kubeflow import KubeflowOptions, compile_kubeflow

    run_config = load_config(config, settings or [])
    import_tensorflow_quietly()
    options = KubeflowOptions(
        image=image,
        data=data,
        pipeline_root=pipeline_root,
        checkpoint_base=checkpoints,
        workers=workers,
        enable_cache=cache,
    )
    return compile_kubeflow(run_config, options)


@app.command("airflow")
def compile_airflow(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The Python file to write, in the dags folder.")
    ],
    config: Config = "tintype_lab",
    settings: Settings = None,
) -> None:
    """Write the file that Apache Airflow finds the pipeline by; a YAML config is copied beside it."""
    from pipeline.runners.airflow import write_dag_file

    write_dag_file(output, config, settings or [])
    typer.echo(f"wrote {output}; the Variables that it needs stand in docs/airflow.md")
