"""`tintype run`: the whole pipeline on this machine."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from photo.errors import REFUSED_BY_GATE
from tintype.commands.config_options import Config, Photographs, Settings


def run(
    data: Photographs,
    config: Config = "tintype_tuned",
    out: Annotated[
        Path | None, typer.Option(help="The run's folder. [default: runs/<recipe>]", show_default=False)
    ] = None,
    settings: Settings = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes for reading and measuring photographs; 0: all cores.")
    ] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show all that TFX and Beam log.")] = False,
) -> None:
    """Run the pipeline here: read photographs, train, evaluate, push what is blessed.

    A second run with the same folder reuses what has not changed. The exit code is 3 when a gate refused the data or
    the model. Example:

        tintype run --config sn_unet_lab_128 --data photographs/ --set train.steps=2000
    """
    from rich.console import Console

    from components.image_example_gen.locations import join_locations
    from pipeline.config import load_config
    from pipeline.runners.local import run_local

    run_config = load_config(config, settings or [])
    print("loading TFX (about half a minute)", file=sys.stderr, flush=True)
    report = run_local(
        run_config,
        data=join_locations(data),
        out=out or Path("runs") / run_config.recipe,
        verbose=verbose,
        workers=workers,
    )

    from pipeline.run_report import report_table

    Console().print(report_table(report))
    if not report.pushed:
        raise typer.Exit(REFUSED_BY_GATE)
