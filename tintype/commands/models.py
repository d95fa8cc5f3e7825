"""`tintype models`: which versions of a model there are and were, and where each comes from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from serving.model.version_record import KnownVersion

app = typer.Typer(
    help="See where the versions under a serving base path come from: run, code, photographs, figures.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

BasePath = Annotated[
    str, typer.Argument(metavar="BASE", help="The serving base path, a folder or an address such as gs://...")
]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@app.command("list")
def list_models(base_path: BasePath, as_json: Json = False) -> None:
    """List the versions, the removed ones, too, with the photographs and figures they come from.

    tintype models list /models/colorizer
    """
    versions = _known(base_path)
    if as_json:
        typer.echo(json.dumps([version.document() for version in versions], indent=2))
        return
    if not versions:
        typer.echo(f"no versions under {base_path}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title_justify="left")
    for heading in ("version", "parent", "pushed", "model", "photos", "PSNR dB", "colorfulness", ""):
        table.add_column(heading, justify="right" if heading in ("photos", "PSNR dB", "colorfulness") else "left")
    for version in versions:
        table.add_row(*_row(version))
    # Wider than a pipe's 80 columns: what programs cut must not be wrapped.
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)


@app.command()
def show(
    base_path: BasePath,
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A version's number, a model's fingerprint, or a coloured photograph.")
    ],
    as_json: Json = False,
) -> None:
    """Say where a version comes from: its run, code, config, photographs, figures, and the version before.

    Of a photograph that Tintype coloured, the version whose model found the colours:

        tintype models show /models/colorizer grandmother.jpg
    """
    from serving.model.version_record import find_versions, flattened

    found = find_versions(_known(base_path), _fingerprint(what))
    if as_json:
        typer.echo(json.dumps([version.document() for version in found], indent=2))
        return
    for version in found:
        typer.echo(f"version {version.number}{'' if version.present else ' (removed since)'}")
        if not version.record:
            typer.echo(f"  {version.error or 'nothing says where it comes from: it was pushed without a record'}")
        for name, value in flattened(version.record):
            if name != "version":
                typer.echo(f"  {_text(name)}: {_text(value)}")


@app.command()
def diff(
    base_path: BasePath,
    one: Annotated[str, typer.Argument(metavar="ONE", help="A version's number, or a model's fingerprint.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="Another one.")],
    as_json: Json = False,
) -> None:
    """Say what is different between two versions: config, code, photographs, figures.

    tintype models diff /models/colorizer 1760000000 1760086400
    """
    from serving.model.version_record import differences, find_versions

    versions = _known(base_path)
    left, right = (find_versions(versions, wanted)[-1] for wanted in (one, other))
    different = differences(left.record, right.record)
    if as_json:
        typer.echo(json.dumps({name: [before, after] for name, before, after in different}, indent=2))
        return
    for version in (left, right):
        if not version.record:
            typer.echo(f"version {version.number}: {version.error or 'it has no record'}", err=True)
    for name, before, after in different:
        typer.echo(f"{_text(name)}: {_text(before)} -> {_text(after)}{_change(before, after)}")
    if not different:
        typer.echo(f"versions {left.number} and {right.number} do not differ in what is recorded")


def _known(base_path: str) -> "list[KnownVersion]":
    if "://" in base_path:
        from serving.model.quiet_tensorflow import import_tensorflow_quietly

        import_tensorflow_quietly()
    from serving.model.version_record import known_versions

    return known_versions(base_path)


def _fingerprint(what: str) -> str:
    """Return the fingerprint in a photograph's file; what names no file as it is."""
    if not Path(what).is_file():
        return what
    from photo.errors import TintypeError
    from photo.input_kinds import read_photo
    from photo.inspection import inspect_photo
    from tintype.quiet_decoders import quiet_decoders

    with quiet_decoders():
        found = inspect_photo(read_photo(Path(what)))
    if not found.model_fingerprint:
        raise TintypeError(f"{what} does not say which model found its colours")
    return found.model_fingerprint


def _row(version: "KnownVersion") -> list[str]:
    from rich.markup import escape

    def value(*names: str) -> Any:
        found: Any = version.record
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def figure(name: str) -> str:
        number = value("metrics", name)
        return f"{number:.2f}" if isinstance(number, int | float) else ""

    said = "" if version.present else "removed"
    if not version.record:
        said = f"{said} {version.error or 'no record'}".strip()
    cells = (version.number, value("parent_version"), value("pushed_at"), version.fingerprint, value("data", "kept"))
    shown = ["" if cell is None else _text(cell) for cell in cells]
    return [escape(cell) for cell in (*shown, figure("psnr_db"), figure("colorfulness"), said)]


def _text(value: Any) -> str:
    """Return a value for a terminal; a record is a file that anyone may have written."""
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


def _change(before: Any, after: Any) -> str:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, after))
    return f" ({after - before:+.4g})" if numbers else ""
