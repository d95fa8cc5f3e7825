"""Which photographs `tintype colorize` works on, and where their colourings go."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import typer

from photo.errors import PhotoError, TintypeError
from photo.folders import ListedFile, is_named_as_other_kind, list_folder, name_of_kind
from photo.formats import FORMAT_OF_SUFFIX, PhotoFormat
from tintype.places import check_may_write_below, exists

PIPE = Path("-")


@dataclass(frozen=True)
class Task:
    """A photograph, and where its colouring goes, or its several variants."""

    source: Path
    targets: tuple[Path, ...]


@dataclass
class Tasks:
    """What there is to do.

    Attributes:
        ready: to colour.
        left_out: what cannot be coloured, and why.
        notes: what should be known of those that were coloured.
        existing: photographs whose results are there already, and one of these.
        in_color: photographs that have colour already and are left as they are, and why.
        passed_over: folders, and what files in them are no photographs.
        total: of the photographs named and found.
    """

    ready: list[Task] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[tuple[Path, str]] = field(default_factory=list)
    existing: list[tuple[Path, Path]] = field(default_factory=list)
    in_color: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: list[tuple[Path, str]] = field(default_factory=list)
    total: int = 0


@dataclass(frozen=True)
class Naming:
    """How results are named.

    Attributes:
        out: a folder, or the name of one file.
        format: of the results; None keeps each photograph's own.
        variants: of each photograph, told apart by numbers; None makes one colouring.
        overwrite: replace results that are there already.
    """

    out: Path
    format: PhotoFormat | None = None
    variants: int | None = None
    overwrite: bool = False


def plan_tasks(photos: list[Path], naming: Naming) -> Tasks:
    """Find photographs and name their results.

    Args:
        photos: files, or folders of them.
        naming: how results are named.

    Raises:
        typer.BadParameter: `naming.out` names one file and there are several photographs, or contradicts the format.
        PhotoError: there are none.
        TintypeError: nothing can be written there.
    """
    _check_out(naming.out)
    check_may_write_below(naming.out.parent if is_file_name(naming.out) else naming.out)
    tasks = Tasks()
    sources = list(_find_photos(photos, naming.out, tasks))
    named = list(_name_targets(sources, naming))
    if not sources and not tasks.left_out:
        others = "".join(f"; {detail}" for _, detail in tasks.passed_over)
        raise PhotoError("empty", f"no photographs in {', '.join(map(str, photos))}{others}")
    tasks.total = len(named) + len(tasks.left_out)
    inputs = {source.resolve() for source, _ in sources}
    for task in named:
        try:
            for target in task.targets:
                if target.resolve() in inputs:
                    raise TintypeError(f"the result would replace {target}, a photograph given to colour")
            there = [target for target in task.targets if exists(target)]
        except TintypeError as error:
            tasks.left_out.append((task.source, str(error)))
            continue
        if there and not naming.overwrite:
            tasks.existing.append((task.source, there[0]))
        else:
            tasks.ready.append(task)
    return tasks


def check_pipe(photos: list[Path], naming: Naming) -> None:
    """Check what goes from or into a pipe.

    Raises:
        typer.BadParameter: more than one photograph, or no name for the result.
        TintypeError: the result exists already.
    """
    if len(photos) > 1 or photos[0].is_dir():
        raise typer.BadParameter("a pipe carries one photograph", param_hint="PHOTO")
    if naming.variants is not None:
        raise typer.BadParameter("a pipe carries one colouring; give a file and a folder", param_hint="--variants")
    if naming.out == PIPE:
        return
    _check_out(naming.out)
    if not is_file_name(naming.out):
        raise typer.BadParameter(
            f"a photograph from a pipe has no name to take in the folder {naming.out}; give a file name",
            param_hint="--out",
        )
    _check_format(naming)
    check_may_write_below(naming.out.parent)
    if exists(naming.out) and not naming.overwrite:
        raise TintypeError(f"{naming.out} exists already; --overwrite replaces it")


def is_file_name(out: Path) -> bool:
    """Return whether a path names a photograph's file, not a folder."""
    return out.suffix.lower() in FORMAT_OF_SUFFIX and not out.is_dir()


def _check_out(out: Path) -> None:
    """Raise typer.BadParameter for the name of a file of a kind that is not written."""
    if is_named_as_other_kind(out.name) and not out.is_dir():
        suffixes = ", ".join(FORMAT_OF_SUFFIX)
        raise typer.BadParameter(
            f"{out}: what is written are JPEG, PNG, WebP, TIFF and BMP files, named {suffixes}; or give a folder",
            param_hint="--out",
        )


def _find_photos(photos: list[Path], out: Path, tasks: Tasks) -> Iterator[tuple[Path, Path]]:
    """Yield each photograph once, with its name below the argument that named it.

    What is left out of folders, and what does not exist, is added to `tasks`; what lies in `out` (results of an earlier
    run) is no photograph to colour.
    """
    from photo.archives import FileReader
    from photo.finding import OTHER_FILES, LeftOut, find_photographs

    seen: set[Path] = set()
    own = out.resolve()
    with FileReader() as reader:
        for argument in photos:
            if not argument.exists():
                tasks.left_out.append((argument, "no such file or folder"))
                continue
            if not (argument.is_dir() or argument.is_file()):  # a pipe: to look into it would take from it
                yield argument, Path(argument.name)
                continue
            files = _files(argument, own, tasks.left_out)
            for found in find_photographs(files, str(argument), reader, open_archives=False):
                if isinstance(found, LeftOut) and found.reason == OTHER_FILES:
                    tasks.passed_over.append((argument, found.detail))
                elif isinstance(found, LeftOut):
                    path = argument / found.name if argument.is_dir() else argument
                    tasks.left_out.append((path, found.detail))
                elif (source := Path(found.location)).resolve() not in seen:
                    seen.add(source.resolve())
                    yield source, Path(name_of_kind(found.name, found.suffix) if found.suffix else found.name)


def _files(argument: Path, own: Path, left_out: list[tuple[Path, str]]) -> Iterator[ListedFile]:
    """Yield the files of a folder, or the one that is named; results below `own` are no photographs to colour."""

    def note(path: str, why: str) -> None:
        left_out.append((Path(path), f"the folder cannot be listed: {why}"))

    is_own_folder = own != argument.resolve() and argument.is_dir()
    for file in list_folder(str(argument), unlistable=note):
        if not (is_own_folder and Path(file.path).resolve().is_relative_to(own)):
            yield file


def _name_targets(sources: list[tuple[Path, Path]], naming: Naming) -> Iterator[Task]:
    """Say where each result goes; two that would have one name are told apart by a number."""
    if is_file_name(naming.out):
        if len(sources) > 1:
            raise typer.BadParameter(
                f"{naming.out} is one file, but there are {len(sources)} photographs; give a folder",
                param_hint="--out",
            )
        _check_format(naming)
        yield from (Task(source, _variant_names(naming.out, naming.variants)) for source, _ in sources)
        return
    taken: set[str] = set()
    for source, relative in sources:
        if naming.format is not None:
            relative = relative.with_suffix(naming.format.suffix)
        elif relative.suffix.lower() not in FORMAT_OF_SUFFIX:
            relative = relative.with_name(f"{relative.name}.png")
        target, number = naming.out / relative, 2
        # casefold: some file systems take A.jpg and a.jpg for one
        while not taken.isdisjoint(names := {str(path).casefold() for path in _variant_names(target, naming.variants)}):
            target = naming.out / relative.with_stem(f"{relative.stem}-{number}")
            number += 1
        taken |= names
        yield Task(source, _variant_names(target, naming.variants))


def _variant_names(target: Path, variants: int | None) -> tuple[Path, ...]:
    """Return name-1.jpg, name-2.jpg, ... for name.jpg, or the name itself where no variants are wanted."""
    if variants is None:
        return (target,)
    return tuple(target.with_stem(f"{target.stem}-{number}") for number in range(1, variants + 1))


def _check_format(naming: Naming) -> None:
    format, out = naming.format, naming.out
    if format is not None and format is not FORMAT_OF_SUFFIX[out.suffix.lower()]:
        raise typer.BadParameter(f"{format.suffix[1:]} contradicts the name {out}", param_hint="--format")
