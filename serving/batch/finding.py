"""Finds the photographs of a job: in folders, globs, archives and lists, on this machine or any Beam filesystem."""

import itertools
import os
import re
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput

from photo.archives import FileEntry, FileReader, archive_kind
from photo.errors import DataError
from photo.folders import relative_name
from photo.formats import FORMAT_OF_SUFFIX
from serving.batch.elements import OUTCOMES, ElementOrOutcome
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import file_reader, is_local, list_files, open_file
from serving.batch.outcomes import Outcome, failed

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
    try:
        if _WILDCARD.search(location) and not (is_local(location) and os.path.exists(location)):
            files = iter(_matching(location))
            base = root or _fixed_part(location)
        elif is_local(location) and not os.path.exists(location):
            yield failed(location, "not_found", "no such file or folder")
            return
        elif _is_file(location):
            files = iter([location])
            base = root or ("" if archive_kind(location) else location.rpartition("/")[0])
        else:
            files = (file.path for file in list_files(location) if _is_wanted(file.path))
            base = root or location
        own = _folder_to_pass_over(output, base)
        with file_reader(any_order=True) as reader:
            for path in files:
                if own is None or not _real(path).startswith(own):
                    yield from _entries(path, base, reader)
    except (DataError, OSError) as error:
        yield failed(location, "not_found", str(error))


class Find(beam.DoFn):
    """An input's location -> the entries that `find_photos` yields, and its outcomes beside them."""

    def __init__(self, output: str, root: str | None):
        self._output = output
        self._root = root

    def process(self, location: str) -> Iterator[ElementOrOutcome]:
        """Find what one input stands for."""
        for found in find_photos(location, output=self._output, root=self._root):
            yield TaggedOutput(OUTCOMES, found) if isinstance(found, Outcome) else found


def _entries(path: str, base: str, reader: FileReader) -> Iterator[FileEntry | Outcome]:
    encoded = path.encode("utf-8", "surrogateescape")
    name = relative_name(path, base) if base else ""
    kind = archive_kind(path)
    if kind is None:
        yield FileEntry(name or relative_name(path, path.rpartition("/")[0]), "file", encoded, 0)
        return
    # A tar.gz is a tar once the reader has unpacked it.
    whole = FileEntry(name, "zip" if kind == "zip" else "tar", encoded, -1)
    try:
        yield from (member for member in reader.members(whole) if _is_photo(member.name))
    except DataError as error:
        yield failed(path, "damaged_archive", str(error))


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


def _matching(pattern: str) -> list[str]:
    """Return the files that a glob matches; ** stands for any folders, also none."""
    # Beam's ** matches any text, so "a/**/b" would need a folder between.
    parts = pattern.split("**/")
    patterns = [
        "".join(joined) for joined in itertools.product(*[[part + "**/", part] for part in parts[:-1]], parts[-1:])
    ]
    matched = FileSystems.match(patterns)
    found = {file.path for result in matched for file in result.metadata_list}
    prefix = len(_fixed_part(pattern))
    return sorted(path for path in found if not any(part.startswith(".") for part in path[prefix:].split("/")))


def _fixed_part(pattern: str) -> str:
    """Return the folders of a glob before its first wildcard, with the slash after them; "" when there are none."""
    wildcard = _WILDCARD.search(pattern)
    return pattern[: pattern.rfind("/", 0, wildcard.start()) + 1] if wildcard else pattern


def _is_file(location: str) -> bool:
    if is_local(location):
        return not os.path.isdir(location)
    return _is_wanted(location)


def _is_wanted(path: str) -> bool:
    return _is_photo(path) or archive_kind(path) is not None


def _is_photo(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in FORMAT_OF_SUFFIX


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
