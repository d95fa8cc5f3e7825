"""`tintype colorize`: colours files and whole folders, by a server or by the generator that comes with Tintype.

What was left out is said, and why.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tintype.commands.connection_options import CONNECTION, CaCert, ClientCert, ClientKey, Token, WithTls

if TYPE_CHECKING:
    from photo.coloring_options import ColoringOptions
    from photo.errors import TintypeError
    from serving.client.colorizer import Colorizer
    from serving.server.process import ServerProcess


class OutputFormat(StrEnum):
    """What `--format` may be."""

    SAME = "same"
    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"
    TIFF = "tiff"


class Compression(StrEnum):
    """What `--compression` may be."""

    NONE = "none"
    GZIP = "gzip"


@dataclass(frozen=True)
class _Task:
    source: Path
    targets: tuple[Path, ...]


_PIPE = Path("-")

_COLOUR, _VERSION = "Colour", "Which version of the model"

# The embedded server imports TensorFlow, unpacks the generator the first time, and loads it: seconds, or on a machine
# that is busy with other things minutes.
_START_SECONDS = 600.0
_STOP_SECONDS = 3.0
_STARTING = "starting the generator"


def colorize(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO...", help="Photographs, or folders of them; - is a pipe.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT", help="A folder; for one photograph also a file name, or - a pipe."),
    ],
    format: Annotated[OutputFormat, typer.Option(help="The kind of file to write.")] = OutputFormat.SAME,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of JPEG and WebP.")] = 92,
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-overwrite", help="Replace results that are there already.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Photographs worked on at a time.")] = 4,
    strength: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=4.0,
            help="Factor on the colour: 0 gray, 1 as the model says, 1.3 vivid.",
            rich_help_panel=_COLOUR,
        ),
    ] = 1.0,
    keep_tint: Annotated[
        bool,
        typer.Option(
            "--keep-tint",
            help="Lay the tint of a toned or yellowed photograph (sepia) over the colour; without, it is removed.",
            rich_help_panel=_COLOUR,
        ),
    ] = False,
    variants: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=64,
            help="Colour each photograph in N plausible ways: name-1.jpg to name-N.jpg.",
            rich_help_panel=_COLOUR,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**31 - 64, help="Of the variants: the same seed, the same colours.", rich_help_panel=_COLOUR
        ),
    ] = 0,
    model_name: Annotated[
        str, typer.Option(help="The name the server serves the model under.", rich_help_panel=_VERSION)
    ] = "colorizer",
    label: Annotated[
        str | None, typer.Option(help="Ask the version with this label.", rich_help_panel=_VERSION)
    ] = None,
    canary_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the photographs for the version labelled canary; stable colours the others.",
            rich_help_panel=_VERSION,
        ),
    ] = 0.0,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            envvar="TINTYPE_SERVER",
            help="The server's gRPC port; dns:///HOST:PORT takes all servers of that name in turn. "
            "[default: an embedded server, for the generator that comes with Tintype]",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds to wait for one answer.", rich_help_panel=CONNECTION)
    ] = 30.0,
    tls: WithTls = False,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token: Token = None,
    compression: Annotated[
        Compression, typer.Option(help="Of what is sent, for a slow network.", rich_help_panel=CONNECTION)
    ] = Compression.NONE,
) -> None:
    """Colour photographs: JPEG, PNG, WebP, TIFF or BMP, at their full size.

    Only colour is added; light and shade stay as they are. A photograph that cannot be used is named with the
    reason, and the others go on.

    Colour an album into the folder [bold]coloured[/bold], with the generator that comes with Tintype or by a server:

        tintype colorize album/ -o coloured

        tintype colorize album/ -o coloured --server localhost:8500

    One photograph, a little more vivid, as PNG; four plausible colourings of it; and one through a pipe:

        tintype colorize grandmother.jpg -o grandmother.png --strength 1.3

        tintype colorize grandmother.jpg -o coloured --variants 4 --seed 7

        scan | tintype colorize - -o - > grandmother.jpg
    """
    from photo.coloring_options import ColoringOptions
    from photo.errors import ClientClosed, PhotoError, ServerUnavailable

    is_piped = _PIPE in (*photos, out)
    if is_piped:
        _check_pipe(photos, out, format, variants)
    failures: list[tuple[Path, str]] = []
    sources = list(_find_photos(photos, out, failures)) if _PIPE not in photos else []
    tasks = list(_name_targets(sources, out, format, variants)) if out != _PIPE else []
    if not sources and not failures and _PIPE not in photos:
        raise PhotoError("empty", f"no photographs in {', '.join(map(str, photos))}")

    if _PIPE in photos and out != _PIPE:
        _check_may_write(out, overwrite)
    inputs = {source.resolve() for source, _ in sources}
    total, ready = len(tasks) + len(failures), _without_conflicts(tasks, inputs, overwrite, failures)
    encrypted = tls or ca_cert is not None or client_cert is not None or client_key is not None
    if server is None and (encrypted or label is not None or canary_share):
        raise typer.BadParameter(
            "labels, canaries and encryption need one; the embedded server has none", param_hint="'--server'"
        )
    if not ready and not is_piped:
        _report(0, total, failures, out)
    with ExitStack() as stack:
        address, beside = server, None
        if address is None:
            from serving.server.options import ServerOptions
            from serving.server.process import server_process

            # Before the client is imported, so that both start at once.
            beside = stack.enter_context(
                server_process(
                    ServerOptions(model_name, enable_model_warmup=False), silent=True, patience=_STOP_SECONDS
                )
            )
            address = beside.address

        from serving.client.colorizer import Colorizer
        from serving.client.options import ConnectionOptions, Tls

        try:
            colorizer = Colorizer(
                address,
                ConnectionOptions(
                    model_name=model_name,
                    timeout=timeout if beside is None else max(timeout, _START_SECONDS),
                    version_label=label,
                    canary_share=canary_share,
                    tls=Tls(ca_cert, client_cert, client_key) if encrypted else None,
                    token=token.strip() if token else None,
                    compression=None if compression is Compression.NONE else compression.value,
                ),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        stack.enter_context(colorizer)
        stack.enter_context(_quiet_decoders())
        if beside is not None:
            beside.watch(colorizer.close)  # which ends the calls that wait for it
        options = ColoringOptions(strength=strength, keep_tint=keep_tint, quality=quality)
        if is_piped:
            with _starting(beside):
                _color_one(colorizer, beside, photos[0], out, format=format, options=options)
            return
        colored = 0
        if beside is None:
            colorizer.describe()  # no server: say so once, not for every photograph
        outcomes = colorizer.colorize_files(
            ((task.source, task.targets) for task in ready),
            options,
            concurrency=concurrency,
            seed=None if variants is None else seed,
        )
        with _progress(len(ready), "" if beside is None else _STARTING) as advance, closing(outcomes):
            for outcome in outcomes:
                if isinstance(outcome.error, ServerUnavailable | ClientClosed):
                    typer.echo(_summary(colored, total, out), err=True)
                    raise _explained(outcome.error, beside)
                if outcome.error:
                    failures.append((outcome.photo, str(outcome.error)))
                    advance(f"{outcome.photo}: left out")
                else:
                    colored += 1
                    advance(f"{outcome.photo} -> {', '.join(map(str, outcome.colored))}")
    _report(colored, total, failures, out)


def _report(colored: int, total: int, failures: list[tuple[Path, str]], out: Path) -> None:
    """Say what became of the photographs; ends the command with exit code 1 when some were left out."""
    for path, reason in failures:
        typer.secho(f"left out {path}: {reason}", fg="yellow", err=True)
    typer.echo(_summary(colored, total, out))
    if failures:
        raise typer.Exit(1)


def _check_pipe(photos: list[Path], out: Path, format: OutputFormat, variants: int | None) -> None:
    if len(photos) > 1 or photos[0].is_dir():
        raise typer.BadParameter("a pipe carries one photograph", param_hint="PHOTO")
    if variants is not None:
        raise typer.BadParameter("a pipe carries one colouring; give a file and a folder", param_hint="--variants")
    if out != _PIPE and not _is_file_name(out):
        raise typer.BadParameter(
            f"a photograph from a pipe has no name to take in the folder {out}; give a file name", param_hint="--out"
        )
    if out != _PIPE:
        _check_format(out, format)


def _color_one(
    colorizer: "Colorizer",
    beside: "ServerProcess | None",
    photo: Path,
    out: Path,
    *,
    format: OutputFormat,
    options: "ColoringOptions",
) -> None:
    """Colour one photograph from or into a pipe; nothing but the result goes to standard output."""
    from photo.any_kind import read_photo
    from photo.errors import ClientClosed
    from photo.whole_file import write_whole

    wanted = f".{format}" if format is not OutputFormat.SAME else out.suffix.lower()
    data = read_photo(sys.stdin.buffer if photo == _PIPE else photo)
    try:
        colored = colorizer.colorize(data, replace(options, format=_suffixes().get(wanted)))
    except ClientClosed as error:
        raise _explained(error, beside) from error
    if out != _PIPE:
        write_whole(out, colored)
        return
    sys.stdout.buffer.write(colored)
    sys.stdout.buffer.flush()


def _explained(error: "TintypeError", beside: "ServerProcess | None") -> "TintypeError":
    """Return the error, or where the embedded server ended by itself what that one said."""
    from photo.errors import TintypeError

    if beside is None or not beside.has_ended:
        return error
    return TintypeError(f"the embedded server ended: {beside.last_words()}")


def _without_conflicts(
    tasks: list[_Task], inputs: set[Path], overwrite: bool, failures: list[tuple[Path, str]]
) -> list[_Task]:
    """Return the tasks whose results replace nothing they should not; the others are added to `failures`."""
    from photo.errors import TintypeError

    ready = []
    for task in tasks:
        try:
            for target in task.targets:
                if target.resolve() in inputs:
                    raise TintypeError(f"the result would replace {target}, a photograph given to colour")
                _check_may_write(target, overwrite)
        except TintypeError as error:
            failures.append((task.source, str(error)))
        else:
            ready.append(task)
    return ready


def _check_may_write(target: Path, overwrite: bool) -> None:
    from photo.errors import TintypeError

    if target.exists() and not overwrite:
        raise TintypeError(f"{target} exists already; --overwrite replaces it")


def _summary(colored: int, total: int, out: Path) -> str:
    left_out = f" ({total - colored} left out)" if colored < total else ""
    place = f"{out}" if _is_file_name(out) else f"{out}{os.sep}"
    return f"coloured {colored} of {total} photograph{'s' if total != 1 else ''} into {place}{left_out}"


def _suffixes() -> dict[str, str]:
    from photo.formats import FORMAT_OF_SUFFIX

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


def _name_targets(
    sources: list[tuple[Path, Path]], out: Path, format: OutputFormat, variants: int | None
) -> Iterator[_Task]:
    """Say where each result goes; two that would have one name are told apart by a number.

    Raises:
        typer.BadParameter: when `out` names one file and there are several photographs, or contradicts `--format`.
    """
    if _is_file_name(out):
        if len(sources) > 1:
            raise typer.BadParameter(
                f"{out} is one file, but there are {len(sources)} photographs; give a folder", param_hint="--out"
            )
        _check_format(out, format)
        yield from (_Task(source, _variant_names(out, variants)) for source, _ in sources)
        return
    taken: set[str] = set()
    for source, relative in sources:
        if format is not OutputFormat.SAME:
            relative = relative.with_suffix(f".{format}")
        elif relative.suffix.lower() not in _suffixes():
            relative = relative.with_name(relative.name + _true_suffix(source))
        target, number = out / relative, 2
        # casefold: some file systems take A.jpg and a.jpg for one
        while not taken.isdisjoint(names := {str(path).casefold() for path in _variant_names(target, variants)}):
            target = out / relative.with_stem(f"{relative.stem}-{number}")
            number += 1
        taken |= names
        yield _Task(source, _variant_names(target, variants))


def _variant_names(target: Path, variants: int | None) -> tuple[Path, ...]:
    """Return name-1.jpg, name-2.jpg, ... for name.jpg, or the name itself where no variants are wanted."""
    if variants is None:
        return (target,)
    return tuple(target.with_stem(f"{target.stem}-{number}") for number in range(1, variants + 1))


def _check_format(out: Path, format: OutputFormat) -> None:
    if format is not OutputFormat.SAME and _suffixes()[f".{format}"] != _suffixes()[out.suffix.lower()]:
        raise typer.BadParameter(f"{format} contradicts the name {out}", param_hint="--format")


def _true_suffix(source: Path) -> str:
    """Return the suffix a file without a photograph's suffix should have had; what is no photograph fails later."""
    from photo.errors import PhotoError
    from photo.formats import recognise_format

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
def _starting(beside: "ServerProcess | None") -> Iterator[None]:
    """Say on a terminal, while the block runs, what takes so long."""
    if beside is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{_STARTING} and colouring ..."):
        yield


@contextmanager
def _progress(total: int, first: str) -> Iterator[Callable[[str], None]]:
    """Yield what to call after each photograph: a bar on a terminal, first with the words `first`; a line elsewhere."""
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
        task = bar.add_task(first and f"{first} ...", total=total)
        yield lambda line: bar.update(task, advance=1, description=line)
