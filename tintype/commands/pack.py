"""`tintype pack`: makes the one file that a trained generator comes with the package in."""

from pathlib import Path
from typing import Annotated

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly


def pack(
    model: Annotated[Path, typer.Option(metavar="DIR", help="The folder of saved_model.pb, as it was pushed.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="The package has its own in serving/model/colorizer.zip."),
    ],
) -> None:
    """Pack a model into one small file: its weights in half precision, its graph compressed.

    What is in serving/model/colorizer.zip when Tintype is installed colours wherever no model or server is named:

        tintype pack --model build/shipped/serving/colorizer/1 -o serving/model/colorizer.zip

    TINTYPE_GENERATOR=FILE uses another one.
    """
    import_tensorflow_quietly()
    from serving.model.onnx_graphs import onnx_graphs
    from serving.model.packing import pack as pack_model

    packed = pack_model(model, out, onnx_graphs(str(model)))
    typer.echo(f"{out}: {packed.size:,} bytes, {packed.parameters:,} parameters")
    if packed.rounded_most:
        typer.echo(f"largest rounding of a weight: {packed.largest_rounding:.2g}, in {packed.rounded_most}")
