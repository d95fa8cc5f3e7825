"""Finds the photographs of a job: in folders, globs, archives and lists, on this machine or any Beam filesystem."""

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput

from photo.archives import FileEntry, archive_kind
from photo.errors import DataError
from photo.finding import OTHER_FILES, LeftOut, find_photographs, is_named_like_photo, unlistable_folder
from photo.folders import ListedFile
from serving.batch.elements import OUTCOMES, ElementOrOutcome
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import file_reader, is_local, list_files, open_file
from serving.batch.outcomes import PASSED_OVER, Outcome, failed
from serving.batch.outputs import join

# A list of photographs, one path a line, is known by its name.
LIST_SUFFIXES = (".txt", ".list")

_WILDCARD = re.compile(r"[*?\[]")


def find_photos(location: str, *, output: str, root: str | None = None) -> Iterator[FileEntry | Outcome]:
    """Yield an entry for every photograph that an input stands for, and an outcome for what is missing or damaged.

    What lies below `output` is passed over, so that results are not coloured again.

    Args:
        location: a folder (files with a photograph's suffix, and archives), an archive, a glob, a photograph, or a list
            of any of them, one a line, in a file named *.txt or *.list; its relative paths begin at its own folder.
        output: where the job writes.
        root: entries are named below this folder; None: below the folder or list given, or what of a glob has no
            wildcard.

    Raises:
        BatchStopped: `output` is the folder of the photographs.
    """
    location, output, root = _absolute(location), output and _absolute(output), root and _absolute(root)
    if location.lower().endswith(LIST_SUFFIXES) and not _WILDCARD.search(location):
        yield from _listed(location, output, root)
        return
    if is_local(location) and not os.path.exists(location) and not _WILDCARD.search(location):
        yield failed(location, "not_found", "no such file or folder")
        return
    unlistable: list[LeftOut] = []
    try:
        files, base = _files_and_base(location, lambda path, why: unlistable.append(unlistable_folder(path, why)))
        base = root or base
        own = _folder_to_pass_over(output, base)
        wanted = (file for file in files if own is None or not _real(file.path).startswith(own))
        with file_reader(any_order=True) as reader:
            for found in find_photographs(wanted, base, reader):
                yield found if isinstance(found, FileEntry) else _outcome(found, base)
    except (DataError, OSError) as error:
        yield failed(location, "not_found", str(error))
    yield from (_outcome(found, base) for found in unlistable)


class Find(beam.DoFn):
    """An input's location -> the entries that `find_photos` yields, and its outcomes beside them."""

    def __init__(self, output: str, root: str | None):
        self._output = output
        self._root = root

    def process(self, location: str) -> Iterator[ElementOrOutcome]:
        """Find what one input stands for."""
        for found in find_photos(location, output=self._output, root=self._root):
            yield TaggedOutput(OUTCOMES, found) if isinstance(found, Outcome) else found


def _files_and_base(location: str, unlistable: Callable[[str, str], None]) -> tuple[Iterable[ListedFile], str]:
    """Return the files that an input stands for, and the folder, or the archive, that they are named below."""
    if _WILDCARD.search(location) and not (is_local(location) and os.path.exists(location)):
        return _matching(location, unlistable), _fixed_part(location)
    is_file = not os.path.isdir(location) if is_local(location) else _is_named_like_file(location)
    if is_file and archive_kind(location) is None:
        return [ListedFile(location, 0, 0)], location.rpartition("/")[0]
    return list_files(location, unlistable=unlistable), location


def _outcome(left_out: LeftOut, base: str) -> Outcome:
    path = left_out.name if left_out.name.startswith(base) else join(base, left_out.name)
    if left_out.reason == OTHER_FILES:
        return Outcome(path, PASSED_OVER, detail=left_out.detail)
    return failed(path, left_out.reason, left_out.detail)


def _listed(location: str, output: str, root: str | None) -> Iterator[FileEntry | Outcome]:
    folder = location.rpartition("/")[0]
    try:
        with open_file(location) as lines:
            for raw in lines:
                line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
                if not line.strip():
                    continue
                if line.lower().endswith(LIST_SUFFIXES):
                    yield failed(line, "not_an_image", f"a list inside the list {location}")
                    continue
                relative = is_local(line) and not os.path.isabs(line)
                path = f"{folder}/{line}" if relative else line
                yield from find_photos(path, output=output, root=root or (folder if relative else _top(line)))
    except OSError as error:
        yield failed(location, "not_found", f"the list cannot be read: {error.strerror or error}")


def _top(path: str) -> str:
    """Return the part of an absolute path or URL that its mirror below the output does without."""
    scheme = FileSystems.get_scheme(path)
    return f"{scheme}:/" if scheme else "/"


def _matching(pattern: str, unlistable: Callable[[str, str], None]) -> Iterator[ListedFile]:
    """Yield the files that a glob matches; ** stands for any folders, also none."""
    fixed = _fixed_part(pattern)
    if is_local(pattern) and not os.path.isdir(fixed):
        return
    # Beam's ** matches any text, so "a/**/b" would need a folder between.
    parts = pattern[len(fixed) :].split("**/")
    patterns = [
        "".join(joined) for joined in itertools.product(*[[part + "**/", part] for part in parts[:-1]], parts[-1:])
    ]
    translate = FileSystems.get_filesystem(pattern).translate_pattern
    matchers = [re.compile(translate(f"/{each}")) for each in patterns]
    for file in list_files(fixed, unlistable=unlistable):
        if any(matcher.fullmatch(f"/{file.path[len(fixed) :]}") for matcher in matchers):
            yield file


def _fixed_part(pattern: str) -> str:
    """Return the folders of a glob before its first wildcard, with the slash after them; "" when there are none.

    Folders of this machine that are named like a pattern, as "scans [1971]", are meant as they stand.
    """
    *folders, _ = pattern.split("/")
    fixed = ""
    for folder in folders:
        if _WILDCARD.search(folder) and not (is_local(pattern) and os.path.isdir(f"{fixed}{folder}")):
            break
        fixed += f"{folder}/"
    return fixed


def _is_named_like_file(location: str) -> bool:
    return is_named_like_photo(location) or archive_kind(location) is not None


def _absolute(path: str) -> str:
    return os.path.abspath(path) if is_local(path) else path


def _real(path: str) -> str:
    return os.path.realpath(path) if is_local(path) else path


def _folder_to_pass_over(output: str, base: str) -> str | None:
    """Return the prefix of what an earlier run has written among the inputs."""
    if not output or not base:
        return None
    own, inputs = (_real(folder).rstrip("/") + "/" for folder in (output, base))
    if own == inputs:
        raise BatchStopped(f"{output} is the folder of the photographs themselves; the results need another one")
    return own if own.startswith(inputs) else None
