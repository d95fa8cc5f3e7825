"""`tintype colorize`: colours files and whole folders, by a server or by the generator that comes with Tintype.

What was left out is said, and why.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photo.coloring_options import ColoringOptions, ColorPhotos
from photo.credentials import check
from photo.formats import FORMAT_OF_SUFFIX
from photo.hints import Hint
from serving.client.options import ConnectionOptions
from tintype.command_options import Options, expand_options
from tintype.engines import Engine, EngineOption, check_engine, takes_onnx
from tintype.outcome_report import Report, summary
from tintype.photo_hints import GivenHints
from tintype.photo_tasks import PIPE, Naming, Tasks, check_pipe, plan_tasks
from tintype.quiet_decoders import quiet_decoders

if TYPE_CHECKING:
    from photo.errors import TintypeError
    from serving.client.colorizer import Colorizer
    from serving.model.onnx_model import OnnxModel
    from serving.server.kept_process import KeptServer
    from serving.server.process import ServerProcess

    ServerBeside = ServerProcess | KeptServer

_COLOR, _MARKS, _VERSION = "Colour", "Marks", "Which version of the model"

# The embedded server imports TensorFlow, unpacks the generator the first time, and loads it: seconds, or on a machine
# that is busy with other things minutes.
_START_SECONDS = 600.0
_STOP_SECONDS = 3.0
_STARTING = "starting the generator"

Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photographs, or folders of them; - is a pipe.")]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="OUT", help="A folder; for one photograph also a file name, or - a pipe."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite/--no-overwrite", help="Replace results that are there already.")]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Say nothing of results that are there already, and leave them.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be coloured, and where to; start nothing.")]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="Photographs worked on at a time.")]
Coloring = Annotated[
    ColoringOptions,
    Options(
        "format",
        "page",
        "quality",
        "tiff_compression",
        "strength",
        "look",
        "warmth",
        "saturation",
        "reference",
        "keep_tint",
        "color_photos",
        "render",
        "keep_date",
        "mark_metadata",
        "mark",
        "credentials",
        strength={"panel": _COLOR},
        look={"panel": _COLOR},
        warmth={"panel": _COLOR},
        saturation={"panel": _COLOR},
        reference={"panel": _COLOR},
        keep_tint={"panel": _COLOR},
        color_photos={"panel": _COLOR},
        render={"panel": _COLOR},
        mark_metadata={"panel": _MARKS},
        mark={"panel": _MARKS},
        credentials={"panel": _MARKS},
    ),
]
HintTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--hint",
        metavar="X,Y=#RRGGBB",
        help="The colour of a place of the one photograph, X and Y being shares 0..1 of its width and height, as in "
        "0.42,0.31=#4a6b3c; X,Y,RADIUS= for a disc, PAGE:X,Y= for a page of a TIFF. May be repeated.",
        rich_help_panel=_COLOR,
    ),
]
HintsFile = Annotated[
    Path | None,
    typer.Option(
        "--hints",
        metavar="FILE",
        help="Hints of many, as JSON of file names with lists of {x, y, color, radius, page}. Without, those of "
        "PHOTO.hints.json beside a PHOTO.",
        rich_help_panel=_COLOR,
    ),
]
Variants = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=64,
        help="Colour each photograph in N plausible ways: name-1.jpg to name-N.jpg.",
        rich_help_panel=_COLOR,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0, max=2**31 - 64, help="Of the variants: the same seed, the same colours.", rich_help_panel=_COLOR
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="TINTYPE_SERVER",
        help="The server's gRPC port; dns:///HOST:PORT takes all servers of that name in turn. "
        "[default: none; the generator that comes with Tintype colours]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
Keep = Annotated[
    bool,
    typer.Option(
        "--keep/--no-keep",
        help="Let the embedded server stay for a while, so that the next call need not start one.",
        rich_help_panel="Connection",
    ),
]
KeepMinutes = Annotated[
    float,
    typer.Option(
        metavar="MINUTES",
        envvar="TINTYPE_KEEP_MINUTES",
        min=0,
        max=1440,
        help="How long it stays when nobody uses it.",
        rich_help_panel="Connection",
    ),
]
Connection = Annotated[
    ConnectionOptions,
    Options(
        "model_name",
        "version_label",
        "canary_share",
        "timeout",
        "tls",
        "token",
        "compression",
        model_name={"panel": _VERSION},
        version_label={"panel": _VERSION},
        canary_share={"panel": _VERSION},
    ),
]


@expand_options
def colorize(
    photos: Photos,
    out: Out,
    *,
    coloring: Coloring,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    report: Report = Report(),  # noqa: B008 - frozen
    concurrency: Concurrency = 4,
    variants: Variants = None,
    seed: Seed = 0,
    hint: HintTexts = None,
    hints: HintsFile = None,
    server: Server = None,
    engine: EngineOption = Engine.AUTO,
    keep: Keep = True,
    keep_minutes: KeepMinutes = 5.0,
    connection: Connection,
) -> None:
    """Colour photographs (JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF, JPEG 2000) at their full size.

    Only colour is added. A photograph that cannot be used is named with the reason, and the others go on. An album
    into the folder [bold]coloured[/bold], with the generator that comes with Tintype or by a server:

        tintype colorize album/ -o coloured

        tintype colorize album/ -o coloured --server localhost:8500

    One photograph, a little more vivid, as PNG; four plausible colourings of it; and one through a pipe:

        tintype colorize grandmother.jpg -o grandmother.png --strength 1.3

        tintype colorize grandmother.jpg -o coloured --variants 4 --seed 7

        scan | tintype colorize - -o - > grandmother.jpg

    With the colour of a dress that somebody remembers, where the model takes hints:

        tintype colorize grandmother.jpg -o coloured --hint 0.42,0.31=#4a6b3c

    The exit code is 0 when every photograph is coloured, was there already or keeps its own colours; 1 when one was
    left out or nothing could be done; 2 for wrong usage; 130 after Ctrl-C.
    """
    given = _given_hints(hint, hints, variants)
    _check_asked(server, engine, connection, coloring)
    naming = _naming(out, coloring, variants, overwrite, skip_existing)
    connected = partial(connect_to, server, engine, connection, 60.0 * keep_minutes * keep, varies=variants is not None)
    if PIPE in (*photos, out):
        _check_pipe(photos, naming, given, has_words=report.as_json or dry_run)
        _color_one(connected, report, photos[0], out, coloring, given.parsed())
        return
    tasks = plan_tasks(photos, naming)
    hints_of = given.of_tasks(tasks)
    colored = 0
    if tasks.ready and not dry_run:
        with connected() as (colorizer, beside):
            color = partial(_color_many, colorizer, beside, tasks, hints_of, report, concurrency=concurrency, out=out)
            colored = _color_asking(partial(color, seed=None if variants is None else seed), tasks, coloring)
    report.end(None if dry_run else colored, tasks, out, tells_existing=not skip_existing)


def _given_hints(texts: list[str] | None, file: Path | None, variants: int | None) -> GivenHints:
    given = GivenHints(tuple(texts or ()), file)
    given.parsed()
    if variants is not None and (given.texts or given.file):
        raise typer.BadParameter("hints give one colouring; leave one of both out", param_hint="--variants")
    return given


def _naming(out: Path, coloring: ColoringOptions, variants: int | None, overwrite: bool, skip_existing: bool) -> Naming:
    if overwrite and skip_existing:
        raise typer.BadParameter("it contradicts --overwrite; leave one of both out", param_hint="--skip-existing")
    return Naming(out, coloring.format, variants, overwrite)


def _check_pipe(photos: list[Path], naming: Naming, given: GivenHints, *, has_words: bool) -> None:
    check_pipe(photos, naming)
    if given.file is not None:
        raise typer.BadParameter("a photograph from a pipe has no name; give --hint", param_hint="--hints")
    if has_words:
        raise typer.BadParameter("a pipe carries a photograph and no words", param_hint="--json / --dry-run")


def _check_asked(server: str | None, engine: Engine, connection: ConnectionOptions, coloring: ColoringOptions) -> None:
    check_engine(engine, server)
    if server is None and (connection.tls or connection.version_label is not None or connection.canary_share):
        raise typer.BadParameter(
            "labels, canaries and encryption need one; the embedded server has none", param_hint="'--server'"
        )
    check(coloring.credentials)


@contextmanager
def connect_to(
    server: str | None, engine: Engine, connection: ConnectionOptions, keep_for: float, *, varies: bool
) -> "Iterator[tuple[Colorizer, ServerBeside | None]]":
    """Yield a client of the server; where there is none, of a model in this process or of a server beside it."""
    with ExitStack() as stack:
        beside = None
        asked: str | OnnxModel | None = server
        if server is None and takes_onnx(engine, prefers_tensorflow=varies):
            from serving.model import onnx_model

            asked = onnx_model.OnnxModel()
        if asked is None:
            # Before the client is imported, so that both start at once.
            beside = stack.enter_context(_server_beside(connection.model_name, keep_for))
            asked = beside.address
            connection = replace(connection, timeout=max(connection.timeout, _START_SECONDS))

        from serving.client.colorizer import Colorizer

        try:
            colorizer = stack.enter_context(Colorizer(asked, connection))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        stack.enter_context(quiet_decoders())
        if beside is not None:
            beside.watch(colorizer.close)  # which ends the calls that wait for it
        yield colorizer, beside


@contextmanager
def _server_beside(model_name: str, keep_for: float) -> "Iterator[ServerBeside]":
    """Yield a server of the generator that comes with Tintype: one that stays, or one for this command alone."""
    from serving.server.options import ServerOptions
    from serving.server.process import server_process

    options = ServerOptions(model_name, enable_model_warmup=False)
    with ExitStack() as stack:
        kept = None
        if keep_for > 0:
            from serving.server.kept_process import kept_server

            kept = stack.enter_context(kept_server(options, keep_for=keep_for))
        yield kept or stack.enter_context(server_process(options, silent=True, patience=_STOP_SECONDS))


def _color_one(
    connected: "Callable[[], AbstractContextManager[tuple[Colorizer, ServerBeside | None]]]",
    report: Report,
    photo: Path,
    out: Path,
    coloring: ColoringOptions,
    hints: tuple[Hint, ...],
) -> None:
    """Colour one photograph from or into a pipe; nothing but the result goes to standard output."""
    from photo.errors import ClientClosed, fault_of_photo
    from photo.input_kinds import read_photo
    from photo.whole_file import write_whole

    if coloring.format is None:
        coloring = replace(coloring, format=FORMAT_OF_SUFFIX.get(out.suffix.lower()))
    data = read_photo(sys.stdin.buffer if photo == PIPE else photo)
    with connected() as (colorizer, beside), _starting(beside, report):
        try:
            colored = colorizer.colorize(data, coloring, hints=hints)
        except ClientClosed as error:
            raise _explained(error, beside) from error
        except Exception as error:
            raise fault_of_photo(error) from error
    if out != PIPE:
        write_whole(out, colored)
        return
    sys.stdout.buffer.write(colored)
    sys.stdout.buffer.flush()


def _color_asking(color: Callable[[ColoringOptions], int], tasks: Tasks, coloring: ColoringOptions) -> int:
    """Colour files by `color`; where that is to be asked for, those that have colour already after a yes."""
    colored = color(coloring)
    if not (tasks.in_color and coloring.color_photos is ColorPhotos.ASK and sys.stdin.isatty()):
        return colored
    for path, _ in tasks.in_color:
        typer.echo(f"{path} has colour already", err=True)
    if typer.confirm("Colour such photographs anew?", err=True):
        sources = {path for path, _ in tasks.in_color}
        tasks.ready = [task for task in tasks.ready if task.source in sources]
        tasks.in_color.clear()
        colored += color(replace(coloring, color_photos=ColorPhotos.RECOLOR))
    return colored


def _color_many(
    colorizer: "Colorizer",
    beside: "ServerBeside | None",
    tasks: Tasks,
    hints_of: dict[Path, tuple[Hint, ...]],
    report: Report,
    coloring: ColoringOptions,
    *,
    concurrency: int,
    seed: int | None,
    out: Path,
) -> int:
    """Colour files into others, and return how many; those that fail are added to `tasks.left_out`.

    Ctrl-C ends the command, when it has said how far it came.
    """
    from photo.errors import ClientClosed, PhotoError, ServerUnavailable

    if beside is None:
        colorizer.describe()  # no server: say so once, not for every photograph
    colored = 0
    results = colorizer.colorize_files(
        ((task.source, task.targets) for task in tasks.ready),
        coloring,
        concurrency=concurrency,
        seed=seed,
        hints=hints_of,
    )
    try:
        with _progress(len(tasks.ready), _awaited(beside), report) as advance, closing(results):
            for result in results:
                if isinstance(result.error, ServerUnavailable | ClientClosed):
                    typer.echo(summary(colored, tasks, out), err=True)
                    raise _explained(result.error, beside)
                if isinstance(result.error, PhotoError) and result.error.reason == "in_color":
                    tasks.in_color.append((result.photo, str(result.error)))
                    advance(f"{result.photo}: left as it is")
                elif result.colored is None:
                    tasks.left_out.append((result.photo, str(result.error)))
                    advance(f"{result.photo}: left out")
                else:
                    colored += 1
                    tasks.notes += [(result.photo, note) for note in result.notes]
                    report.colored(result.photo, result.colored, result.notes)
                    count = len(hints_of.get(result.photo, ()))
                    given = f" ({count} hint{'s' if count > 1 else ''})" if count else ""
                    advance(f"{result.photo} -> {', '.join(map(str, result.colored))}{given}")
    except KeyboardInterrupt:
        typer.echo(f"stopped: {summary(colored, tasks, out)}", err=True)
        raise typer.Exit(130) from None
    return colored


def _explained(error: "TintypeError", beside: "ServerBeside | None") -> "TintypeError":
    """Return the error, or where the embedded server ended by itself what that one said."""
    from photo.errors import TintypeError

    if beside is None or not beside.has_ended:
        return error
    return TintypeError(f"the embedded server ended: {beside.last_words()}")


@contextmanager
def _starting(beside: "ServerBeside | None", report: Report) -> Iterator[None]:
    """Say, on a terminal while the block runs, what takes so long."""
    awaited = "" if report.quiet else _awaited(beside)
    if not (awaited and sys.stderr.isatty()):
        if awaited:
            typer.echo(f"{awaited} ...", err=True)
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{awaited} and colouring ..."):
        yield


def _awaited(beside: "ServerBeside | None") -> str:
    """What the first photograph waits for; nothing where the server was there before."""
    return "" if beside is None or beside.was_there else _STARTING


@contextmanager
def _progress(total: int, first: str, report: Report) -> Iterator[Callable[[str], None]]:
    """Yield what to call after each photograph: a bar on a terminal, first with the words `first`; a line elsewhere."""
    if report.quiet:
        yield lambda line: None
        return
    if not sys.stderr.isatty():
        done = 0
        if first:
            typer.echo(f"{first} ...", err=True)

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
        task = bar.add_task(first and f"{first} ...", total=total)
        yield lambda line: bar.update(task, advance=1, description=line)
