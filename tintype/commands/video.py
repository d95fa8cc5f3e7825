"""`tintype video`: colours films steadily, by a server or by the generator that comes with Tintype."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.client.options import ConnectionOptions
from serving.video.options import CODECS, TimedHint, VideoOptions, parse_timed_hint
from tintype.command_options import expand_options
from tintype.commands.colorize import Connection, Keep, KeepMinutes, Server, connect_to
from tintype.engines import Engine, EngineOption, check_engine
from tintype.places import check_may_write_below

if TYPE_CHECKING:
    from serving.client.colorizer import Colorizer
    from serving.video.coloring import VideoResult

_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
_FILM = "Film"

Films = Annotated[list[Path], typer.Argument(metavar="FILM...", help="Films, of any kind that FFmpeg reads.")]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="OUT", help="A folder; for one film also a name.mp4, .m4v, .mov or .mkv."),
]
Container = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="mp4, mov or mkv, of films in a folder. [default: the film's own, or mkv]"),
]
Codec = Annotated[str, typer.Option(metavar="NAME", help=f"{', '.join(CODECS)}; ffv1 loses nothing.")]
Quality = Annotated[int, typer.Option(min=0, max=51, help="Of h264 and h265: 0 loses nothing, 51 is the worst.")]
Strength = Annotated[float, typer.Option(min=0.0, max=4.0, help="Factor on the colour: 0 gray, 1.3 vivid.")]
Every = Annotated[
    int, typer.Option(metavar="N", min=1, max=16, help="Ask the model for every N-th frame; colours move between.")
]
HintTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--hint",
        metavar="SECONDS@X,Y=#RRGGBB",
        help="The colour of a place at a time of the one film, as in 12.5@0.42,0.31=#4a6b3c; it follows the motion. "
        "May be repeated.",
    ),
]
MarkMetadata = Annotated[
    bool,
    typer.Option("--mark-metadata/--no-mark-metadata", help="Say in the file that a machine made the colours."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite/--no-overwrite", help="Replace results that are there already.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")]


@expand_options
def video(
    films: Films,
    out: Out,
    *,
    container: Container = None,
    codec: Codec = "h264",
    quality: Quality = 18,
    strength: Strength = 1.0,
    every: Every = 1,
    hint: HintTexts = None,
    mark_metadata: MarkMetadata = True,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    server: Server = None,
    engine: EngineOption = Engine.AUTO,
    keep: Keep = True,
    keep_minutes: KeepMinutes = 5.0,
    connection: Connection,
) -> None:
    """Colour films. Colours are carried along the motion of a shot, so that they do not flicker.

    The luma of each frame stays; sound, subtitles, chapters and metadata are copied. A run that was killed goes on
    where it was when the same command is given again.

        tintype video grandfather-1938.mp4 -o coloured/

        tintype video grandfather-1938.mp4 -o grandfather.mkv --every 2 --hint 12.5@0.42,0.31=#4a6b3c

    The exit code is 0 when every film is coloured; 1 when one was left out; 2 for wrong usage; 130 after Ctrl-C.
    """
    import av  # noqa: F401 - said before a server starts, where it is missing

    if codec not in CODECS:
        raise typer.BadParameter(f"expected {', '.join(CODECS)}, received {codec!r}", param_hint="--codec")
    check_engine(engine, server)
    options = VideoOptions(strength, every, codec, quality, mark_metadata, overwrite)
    hints = _hints(hint or [], films)
    targets = _targets(films, out, container)
    check_may_write_below(out.parent if _is_film_name(out) else out)
    _color_all(targets, options, hints, quiet, server, engine, connection, 60.0 * keep_minutes if keep else 0.0)


def _color_all(
    targets: list[tuple[Path, Path]],
    options: VideoOptions,
    hints: tuple[TimedHint, ...],
    quiet: bool,
    server: str | None,
    engine: Engine,
    connection: ConnectionOptions,
    keep_for: float,
) -> None:
    from photo.errors import ClientClosed, ServerUnavailable, TintypeError

    failed = 0
    try:
        with connect_to(server, engine, connection, keep_for, varies=False) as (colorizer, _):
            for film, target in targets:
                try:
                    result = _color(colorizer, film, target, options, hints, quiet)
                except (ServerUnavailable, ClientClosed):
                    raise
                except TintypeError as error:
                    failed += 1
                    typer.echo(f"left out {error}", err=True)
                    continue
                _tell(film, result, quiet)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    if failed:
        raise typer.Exit(1)


def _color(
    colorizer: "Colorizer",
    film: Path,
    target: Path,
    options: VideoOptions,
    hints: tuple[TimedHint, ...],
    quiet: bool,
) -> "VideoResult":
    with _progress(film, quiet) as progress:
        return colorizer.colorize_video(film, target, options, hints=hints, progress=progress)


def _tell(film: Path, result: "VideoResult", quiet: bool) -> None:
    for note in result.notes:
        typer.echo(f"{film}: {note}", err=True)
    if not quiet:
        gone_on = f", {result.resumed} of them by an earlier run" if result.resumed else ""
        shots = "1 shot" if result.shots == 1 else f"{result.shots} shots"
        typer.echo(f"{film} -> {result.path}: {result.frames} frames{gone_on}, {shots}", err=True)


def _hints(texts: list[str], films: list[Path]) -> tuple[TimedHint, ...]:
    if texts and len(films) > 1:
        raise typer.BadParameter("hints are for one film", param_hint="--hint")
    try:
        return tuple(parse_timed_hint(text) for text in texts)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--hint") from error


def _is_film_name(out: Path) -> bool:
    return out.suffix.lower() in _SUFFIXES and not out.is_dir()


def _targets(films: list[Path], out: Path, container: str | None) -> list[tuple[Path, Path]]:
    if container is not None and f".{container}" not in _SUFFIXES:
        raise typer.BadParameter(f"expected mp4, mov or mkv, received {container!r}", param_hint="--container")
    if _is_film_name(out):
        if len(films) > 1:
            raise typer.BadParameter(f"{out} is one file; give a folder", param_hint="--out")
        return [(films[0], out)]
    targets: list[tuple[Path, Path]] = []
    taken: set[str] = set()
    for film in films:
        own = film.suffix.lower() if film.suffix.lower() in _SUFFIXES else ".mkv"
        target = out / f"{film.stem}{f'.{container}' if container else own}"
        number = 2
        while target.name.casefold() in taken:
            target = target.with_name(f"{film.stem}-{number}{target.suffix}")
            number += 1
        taken.add(target.name.casefold())
        targets.append((film, target))
    return targets


@contextmanager
def _progress(film: Path, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    import sys

    if quiet or not sys.stderr.isatty():
        yield lambda done, expected: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(film.name, total=None)
        yield lambda done, expected: bar.update(task, completed=done, total=expected or None)
