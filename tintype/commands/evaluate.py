"""`tintype evaluate`: the metrics of a SavedModel on photographs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly


def evaluate(
    model: Annotated[Path, typer.Option(help="The folder of saved_model.pb, as the Pusher or the Trainer leaves it.")],
    data: Annotated[str, typer.Option(help="Photographs in colour: a folder, a .zip or a .tar.")],
    out: Annotated[Path | None, typer.Option(help="A file for the metrics, in JSON.", show_default=False)] = None,
    size: Annotated[
        int | None,
        typer.Option(min=16, help="Measure at this side in pixels. [default: the model's own]", show_default=False),
    ] = None,
) -> None:
    """Measure a model: each photograph is taken to gray, coloured by the model, and compared with itself.

    Every figure stands beside that of the photographs left gray. Example:

        tintype evaluate --model runs/demo/serving/colorizer/1 --data holiday.zip --out metrics.json

    Figures of models of different sizes can be compared when they are measured at one --size.
    """
    import json

    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    import_tensorflow_quietly()
    from components.evaluator.evaluation import evaluate_saved_model, metric_rows
    from photo.errors import PhotoError
    from photo.whole_file import write_whole
    from serving.batch.file_systems import list_entries, read_photographs

    console = Console(stderr=True)
    entries = list(list_entries(data))

    def photographs() -> Iterator[tuple[str, bytes]]:
        for entry, content in track(read_photographs(entries), "measuring", total=len(entries), console=console):
            if isinstance(content, PhotoError):
                console.print(f"left out {entry.name}: {content}", highlight=False)
            else:
                yield Path(entry.name).parent.name, content

    metrics = evaluate_saved_model(str(model), photographs(), size=size)
    table = Table(
        title=f"{metrics['n_images']} photographs of {data}, {metrics['size']} pixels",
        show_header=False,
        title_justify="left",
    )
    for row in metric_rows(metrics):
        table.add_row(*row)
    Console().print(table)
    if out:
        write_whole(out, json.dumps(metrics, indent=2))
