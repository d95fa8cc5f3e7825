"""`tintype evaluate`: the metrics of a SavedModel on photographs."""

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly


class Grouping(enum.StrEnum):
    """What the figures are told apart by."""

    FOLDER = "folder"
    SKIN = "skin"


def evaluate(
    model: Annotated[
        str,
        typer.Option(help="The folder of saved_model.pb, a packed generator, or shipped: the one that comes along."),
    ],
    data: Annotated[
        list[str], typer.Option(help="Photographs in colour: a folder, a .zip or a .tar. May be repeated.")
    ],
    out: Annotated[Path | None, typer.Option(help="A file for the metrics, in JSON.", show_default=False)] = None,
    size: Annotated[
        int | None,
        typer.Option(min=16, help="Measure at this side in pixels. [default: the model's own]", show_default=False),
    ] = None,
    spoil: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SEED",
            help="Measure also on gray that is aged as old photographs are: how much of the gain is lost.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        Grouping, typer.Option(help="The table's groups; skin: portraits in thirds by the lightness of skin.")
    ] = Grouping.FOLDER,
) -> None:
    """Measure a model: each photograph is taken to gray, coloured by the model, and compared with itself.

    Every figure stands beside that of the photographs left gray. Example:

        tintype evaluate --model runs/demo/serving/colorizer/1 --data holiday.zip --out metrics.json

        tintype evaluate --model shipped --data holiday.zip --data family/

    Figures of models of different sizes can be compared when they are measured at one --size.
    """
    import json

    _check_places(model, data, out)
    import_tensorflow_quietly()
    from components.evaluator.evaluation import evaluate_saved_model
    from photo.whole_file import write_whole
    from serving.model.shipped_generator import unpacked_model

    metrics = evaluate_saved_model(
        unpacked_model(model) or model,
        _photographs(data),
        size=size,
        spoil_seed=spoil,
        by_skin=by is Grouping.SKIN,
        frechet=True,
    )
    _print_tables(metrics, ", ".join(data), by)
    if out:
        write_whole(out, json.dumps(metrics, indent=2))


def _check_places(model: str, data: list[str], out: Path | None) -> None:
    from serving.model.shipped_generator import SHIPPED
    from tintype.places import check_is_there, check_may_write_below

    if model != SHIPPED:
        check_is_there(model, "the model")
    for location in data:
        check_is_there(location, "the folder or archive")
    if out is not None:
        check_may_write_below(out.parent)


def _photographs(data: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the label and the bytes of each photograph, with the progress on standard error; names what is left out."""
    from rich.console import Console
    from rich.progress import track

    from components.image_example_gen.listing import list_photographs
    from components.image_example_gen.locations import join_locations
    from photo.archives import FileEntry
    from photo.errors import PhotoError
    from serving.batch.file_systems import read_photographs

    console = Console(stderr=True)
    entries = []
    for found in list_photographs(join_locations(data)):
        if isinstance(found, FileEntry):
            entries.append(found)
        else:
            console.print(f"left out {found.name}: {found.detail}", highlight=False, markup=False)
    for entry, content in track(read_photographs(entries), "measuring", total=len(entries), console=console):
        if isinstance(content, PhotoError):
            console.print(f"left out {entry.name}: {content}", highlight=False, markup=False)
        else:
            yield Path(entry.name).parent.name, content


def _print_tables(metrics: dict[str, Any], data: str, by: Grouping) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from components.evaluator.evaluation import SKIN
    from components.evaluator.metric_rows import LABEL_UNITS, MOST_LABELS, label_table, metric_rows

    title = f"{metrics['n_images']} photographs of {data}, {metrics['size']} pixels"
    table = Table(title=title, show_header=False, title_justify="left")
    for row in metric_rows(metrics):
        table.add_row(*row)
    if gray := metrics["n_gray_left_out"]:
        table.add_row("left out", f"{gray} that are gray themselves: figures on colours mean nothing there")
    Console().print(table)
    groups = metrics[SKIN] if by is Grouping.SKIN else metrics["labels"]
    if by is Grouping.SKIN or 1 < len(groups) <= MOST_LABELS:
        headings, rows = label_table({_group_name(name, figures): figures for name, figures in groups.items()})
        grouped = Table(title=f"by {by}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        grouped.add_column(headings[0], no_wrap=True)
        for heading in headings[1:]:
            grouped.add_column(heading, justify="right")
        for cells in rows:
            grouped.add_row(*cells)
        Console().print(grouped)
        Console().print(LABEL_UNITS, highlight=False)


def _group_name(name: str, figures: dict[str, Any]) -> str:
    if "skin_lightness" not in figures:
        return name
    darkest, lightest = figures["skin_lightness"]
    return f"{name}, L* {darkest:.0f}-{lightest:.0f}"
