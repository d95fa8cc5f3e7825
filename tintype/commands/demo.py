"""`tintype demo`: everything once, on embedded data."""

from pathlib import Path
from typing import Annotated

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly


def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("build/demo"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="A field of the demo's config.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show all that TFX and Beam log.")] = False,
) -> None:
    """Show everything on small data made here: render, train, evaluate, push, serve, colour."""
    print("loading TensorFlow and TFX (about half a minute)", flush=True)
    import_tensorflow_quietly()
    from tintype.demo.demo_run import run_demo

    run_demo(out, settings or [], verbose)
