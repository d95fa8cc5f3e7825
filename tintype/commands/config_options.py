"""How a command names a run's config: the options that `run`, `train`, `compile` and `submit` share."""

from typing import Annotated

import typer

Photographs = Annotated[
    list[str],
    typer.Option(help="Photographs: a folder, a .zip or a .tar, here or on gs:// or s3://. May be repeated."),
]
Config = Annotated[str, typer.Option(help="A recipe's name or a YAML file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A field of the config, as train.steps=500. May be repeated.")
]
