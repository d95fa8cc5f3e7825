"""`tintype colorize`: colours files and whole folders through a server, and says what was left out and why."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutputFormat(StrEnum):
    """What `--format` may be."""

    SAME = "same"
    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"
    TIFF = "tiff"


@dataclass(frozen=True)
class _Task:
    source: Path
    target: Path


def colorize(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photographs, or folders of them.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="A folder; for one photograph also a file name.")
    ],
    server: Annotated[
        str, typer.Option(metavar="HOST:PORT", envvar="TINTYPE_SERVER", help="The server's gRPC port.")
    ] = "localhost:8500",
    model_name: Annotated[str, typer.Option(help="The name the server serves the model under.")] = "colorizer",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for one answer.")] = 30.0,
    strength: Annotated[
        float, typer.Option(min=0.0, max=4.0, help="Factor on the colour: 0 gray, 1 as the model says, 1.3 vivid.")
    ] = 1.0,
    format: Annotated[OutputFormat, typer.Option(help="The kind of file to write.")] = OutputFormat.SAME,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of JPEG and WebP.")] = 92,
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-overwrite", help="Replace results that are there already.")
    ] = False,
) -> None:
    """Colour photographs: JPEG, PNG, WebP, TIFF or BMP, at their full size.

    Only colour is added; light and shade stay as they are. A photograph that cannot be used is named with the
    reason, and the others go on.

    Start a server first, then colour an album into the folder [bold]coloured[/bold]:

        tintype serve --model_base_path=models/colorizer --port=8500

        tintype colorize album/ -o coloured --server localhost:8500

    One photograph, a little more vivid, as PNG:

        tintype colorize grandmother.jpg -o grandmother.png --strength 1.3
    """
    from serving.client.errors import PhotoError, ServerRefused, ServerUnavailable, TintypeError

    failures: list[tuple[Path, str]] = []
    sources = list(_find_photos(photos, out, failures))
    tasks = list(_name_targets(sources, out, format))
    if not tasks and not failures:
        raise PhotoError("empty", f"no photographs in {', '.join(map(str, photos))}")

    from serving.client.colorizer import Colorizer

    try:
        colorizer = Colorizer(server, model_name=model_name, timeout=timeout)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from error
    inputs = {source.resolve() for source, _ in sources}
    total, colored = len(tasks) + len(failures), 0
    with colorizer, _quiet_decoders():
        if tasks:
            colorizer.describe()  # no server: say so once, not for every photograph
        with _progress(len(tasks)) as advance:
            for task in tasks:
                try:
                    if task.target.resolve() in inputs:
                        raise TintypeError(f"the result would replace {task.target}, a photograph given to colour")
                    if task.target.exists() and not overwrite:
                        raise TintypeError(f"{task.target} exists already; --overwrite replaces it")
                    colorizer.colorize_file(task.source, task.target, strength=strength, quality=quality)
                    colored += 1
                    advance(f"{task.source} -> {task.target}")
                except ServerUnavailable:
                    typer.echo(_summary(colored, total, out), err=True)
                    raise
                except (PhotoError, ServerRefused, TintypeError) as error:
                    failures.append((task.source, str(error)))
                    advance(f"{task.source}: left out")
    for path, reason in failures:
        typer.secho(f"left out {path}: {reason}", fg="yellow", err=True)
    typer.echo(_summary(colored, total, out))
    if failures:
        raise typer.Exit(1)


def _summary(colored: int, total: int, out: Path) -> str:
    left_out = f" ({total - colored} left out)" if colored < total else ""
    place = f"{out}" if _is_file_name(out) else f"{out}{os.sep}"
    return f"coloured {colored} of {total} photograph{'s' if total != 1 else ''} into {place}{left_out}"


def _suffixes() -> dict[str, str]:
    from serving.client.photo import FORMAT_OF_SUFFIX

    return FORMAT_OF_SUFFIX


def _is_file_name(out: Path) -> bool:
    return out.suffix.lower() in _suffixes() and not out.is_dir()


def _find_photos(photos: list[Path], out: Path, failures: list[tuple[Path, str]]) -> Iterator[tuple[Path, Path]]:
    """Yield each photograph once, with its place relative to the argument that named it.

    Folders are searched for files with a photograph's suffix; hidden files and what lies in `out` (results of an
    earlier run) are passed over. What does not exist is added to `failures`.
    """
    seen: set[Path] = set()
    for argument in photos:
        if argument.is_dir():
            found = sorted(_walk(argument, out.resolve()))
        elif argument.exists():
            found = [argument]
        else:
            failures.append((argument, "no such file or folder"))
            continue
        for path in found:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path, path.relative_to(argument) if argument.is_dir() else Path(path.name)


def _walk(folder: Path, out: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and (Path(parent) / name).resolve() != out]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in _suffixes():
                yield Path(parent) / name


def _name_targets(sources: list[tuple[Path, Path]], out: Path, format: OutputFormat) -> Iterator[_Task]:
    """Say where each result goes; two that would have one name are told apart by a number.

    Raises:
        typer.BadParameter: when `out` names one file and there are several photographs, or contradicts `--format`.
    """
    if _is_file_name(out):
        if len(sources) > 1:
            raise typer.BadParameter(
                f"{out} is one file, but there are {len(sources)} photographs; give a folder", param_hint="--out"
            )
        if format is not OutputFormat.SAME and _suffixes()[f".{format}"] != _suffixes()[out.suffix.lower()]:
            raise typer.BadParameter(f"{format} contradicts the name {out}", param_hint="--format")
        yield from (_Task(source, out) for source, _ in sources)
        return
    taken: set[str] = set()
    for source, relative in sources:
        if format is not OutputFormat.SAME:
            relative = relative.with_suffix(f".{format}")
        elif relative.suffix.lower() not in _suffixes():
            relative = relative.with_name(relative.name + _true_suffix(source))
        target, number = out / relative, 2
        while str(target).casefold() in taken:  # casefold: some file systems take A.jpg and a.jpg for one
            target = out / relative.with_stem(f"{relative.stem}-{number}")
            number += 1
        taken.add(str(target).casefold())
        yield _Task(source, target)


def _true_suffix(source: Path) -> str:
    """Return the suffix a file without a photograph's suffix should have had; what is no photograph fails later."""
    from serving.client.errors import PhotoError
    from serving.client.photo import recognise_format

    try:
        with open(source, "rb") as file:
            format = recognise_format(file.read(16))
    except (OSError, PhotoError):
        return ".png"
    return next(suffix for suffix, name in _suffixes().items() if name == format)


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """Keep the decoders' warnings about odd files off the terminal: what matters is reported by photograph."""
    import warnings

    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Yield what to call after each photograph: a bar on a terminal, a line elsewhere."""
    if not sys.stderr.isatty():
        done = 0

        def tell(line: str) -> None:
            nonlocal done
            done += 1
            typer.echo(f"[{done}/{total}] {line}", err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False)
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda line: bar.update(task, advance=1, description=line)
