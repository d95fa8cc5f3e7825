"""`tintype export`: writes a model for other engines than TensorFlow."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PHOTOGRAPHS = 64


def export(
    model: Annotated[
        str,
        typer.Option(help="The folder of saved_model.pb, a packed generator, or shipped: the one that comes along."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="A folder to make.")],
    format: Annotated[Literal["onnx", "litert", "saved_model"], typer.Option(help="Whose format.")] = "onnx",
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="Of the weights; int8 (onnx alone) also computes so, and needs --calibrate."),
    ] = "float32",
    check: Annotated[
        list[Path] | None,
        typer.Option(help="Photographs to compare with the SavedModel on. [default: some of scikit-image's]"),
    ] = None,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(help="Photographs or folders of them, like those that are to be coloured, for int8."),
    ] = None,
) -> None:
    """Write a model for onnxruntime or LiteRT, and compare it with the SavedModel on photographs.

    Nothing is left where a colour is further away than the precision allows: 0.05 in a* or b* of float32, 0.5 of
    float16. int8 loses more; how much is said in decibels.

        tintype export --model shipped --format onnx -o generator-onnx

        tintype export --model runs/a/serving/colorizer/1 --format litert --precision float16 -o for-phones

        tintype export --model shipped --precision int8 --calibrate album/ --check other/ -o small
    """
    from photo.errors import TintypeError

    if (precision == "int8") != bool(calibrate):
        raise typer.BadParameter("int8 needs photographs, and only int8 does", param_hint="'--calibrate'")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TintypeError(f"{out} is there already; name a folder that is not")
    import_tensorflow_quietly()
    from serving.model.exporting import Format, Precision, export_model
    from serving.model.saved_colorizer import SavedColorizer
    from serving.model.shipped_generator import unpacked_model

    folder = unpacked_model(model) or model
    size = SavedColorizer(folder).description.size
    checked = export_model(
        folder,
        out,
        Format(format),
        Precision(precision),
        squares=_squares(_read(check) if check else _built_in(), size),
        calibration=_squares(_read(calibrate), size) if calibrate else None,
    )
    total = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    typer.echo(f"{out}: {total:,} bytes")
    for each in checked:
        typer.echo(
            f"{each.signature}: at most {each.largest:.2g} from the SavedModel in a* or b*, {each.decibels:.1f} dB"
        )


def _squares(photographs: "Iterator[NDArray[Any]]", size: int) -> "NDArray[np.float32]":
    import numpy as np

    from photo.coloring import prepare
    from photo.errors import TintypeError

    squares = [prepare(rgb, size).square for rgb in photographs]
    if not squares:
        raise TintypeError("no photograph was named that can be read")
    return np.stack(squares).astype(np.float32)


def _read(locations: list[Path]) -> "Iterator[NDArray[Any]]":
    """Yield the pixels of the first photographs; those that cannot be read are named."""
    from itertools import islice

    from photo.decoding import decode_photo
    from photo.errors import PhotoError
    from photo.input_kinds import read_photo
    from tintype.places import check_is_there

    for location in locations:
        check_is_there(str(location), "the photograph or folder")
    files = (
        file
        for location in locations
        for file in (sorted(location.rglob("*")) if location.is_dir() else [location])
        if file.is_file()
    )
    for file in islice(files, MOST_PHOTOGRAPHS):
        try:
            yield decode_photo(read_photo(file)).color
        except PhotoError as error:
            typer.echo(f"left out {file}: {error}", err=True)


def _built_in() -> "Iterator[NDArray[Any]]":
    from photo.errors import TintypeError

    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise TintypeError("name photographs to compare on: --check PHOTO") from error
    yield from (data.astronaut(), data.coffee(), data.chelsea())
