"""`tintype compile`: the pipeline as other orchestrators take it."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.runners.kubeflow_options import KubeflowOptions
from serving.model.quiet_tensorflow import import_tensorflow_quietly
from tintype.command_options import expand_options
from tintype.commands.config_options import Config, Settings

app = typer.Typer(
    help="Write the pipeline in the form that an orchestrator of a cluster takes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command("kubeflow")
@expand_options
def compile_kubeflow(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The YAML file to write.")],
    config: Config = "tintype_tuned",
    settings: Settings = None,
    options: KubeflowOptions = KubeflowOptions(),  # noqa: B008 - frozen
) -> None:
    """Write the pipeline for Kubeflow Pipelines, version 2.

    `data`, `destination`, `steps` and `image` are parameters that every run may set; what is given here, and
    push.destination and train.steps of the config, are their defaults. Example:

        tintype compile kubeflow --config sn_unet_lab_128 --image registry.example/tintype-pipeline:1 -o pipeline.yaml
    """
    from photo.whole_file import write_whole

    if output.suffix not in (".yaml", ".yml"):
        raise typer.BadParameter(f"must end in .yaml or .yml, got {output}", param_hint="--output")
    write_whole(output, kubeflow_yaml(config, settings, options))
    typer.echo(f"wrote {output}")


def kubeflow_yaml(config: str, settings: list[str] | None, options: KubeflowOptions) -> str:
    """The pipeline as YAML; the arguments are those of the command."""
    from pipeline.config import load_config
    from pipeline.runners.kubeflow import compile_kubeflow

    run_config = load_config(config, settings or [])
    import_tensorflow_quietly()
    return compile_kubeflow(run_config, options)


@app.command("airflow")
def compile_airflow(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The Python file to write, in the dags folder.")
    ],
    config: Config = "tintype_tuned",
    settings: Settings = None,
) -> None:
    """Write the file that Apache Airflow finds the pipeline by; a YAML config is copied beside it."""
    from pipeline.runners.airflow import write_dag_file

    write_dag_file(output, config, settings or [])
    typer.echo(f"wrote {output}; the Variables that it needs stand in docs/airflow.md")
