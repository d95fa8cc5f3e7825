"""Finds the photographs in folders and archives by what the files hold, and says of every other file why it is none."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from photo.archives import FileEntry, FileReader, archive_kind
from photo.errors import DataError, PhotoError
from photo.folders import ListedFile, printable, relative_name
from photo.formats import FORMAT_OF_SUFFIX, recognise_photo
from photo.hints import SIDECAR_SUFFIX

_HEAD_BYTES = 64

# Reasons of `LeftOut`, for reports to count by.
OTHER_FILES, UNLISTABLE = "other_files", "unlistable_folder"
ARCHIVE, DAMAGED, LOCKED, NESTED = "archive", "damaged_archive", "locked_archive", "nested_archive"


class LeftOut(NamedTuple):
    """A file, or all other files of a folder or archive, that are not used.

    Attributes:
        name: of the file, as `FileEntry.name`; of a folder or an archive its path.
        reason: `other_files` (what is no photograph, all in one), `unlistable_folder`, `archive` (where none are
            opened), `damaged_archive`, `locked_archive` (members with a password), `nested_archive`, or a reason of
            `PhotoError`.
        detail: the reason in words.
    """

    name: str
    reason: str
    detail: str


def find_photographs(
    files: Iterable[ListedFile], location: str, reader: FileReader, *, open_archives: bool = True
) -> Iterator[FileEntry | LeftOut]:
    """Yield an entry for every photograph, also inside archives, and what is left out; nothing is decoded.

    A file is one by its suffix, which `FORMAT_OF_SUFFIX` knows, or else by its first bytes; and where it is itself the
    `location`, because somebody has named it. The others are counted in one line for all of them, at the end.

    Members of an archive that is itself the `location` are named as in the archive, so that a folder and its archive
    give the same names; members of an archive inside a folder begin with the archive's own name. A tar.gz of a reader
    that cannot unpack it is one entry, with the position -1: its members come when it is read.

    Args:
        files: those below `location`, of `photo.folders.list_folder` for example.
        location: a folder, an archive or a file.
        reader: opens them.
        open_archives: False leaves archives out.
    """
    others = _OtherFiles(location)
    for file in files:
        kind = archive_kind(file.path)
        path = file.path.encode("utf-8", "surrogateescape")
        name = relative_name(file.path, location)
        if kind is None:
            is_named = file.path == location
            entry = FileEntry(name, "file", path, 0, stamp=file.stamp)
            yield from _judged(entry, reader, others, is_named=is_named)
        elif open_archives:
            whole = FileEntry("" if file.path == location else name, kind, path, -1, stamp=file.stamp)
            yield from _in_archive(whole, reader)
        else:
            yield LeftOut(name, ARCHIVE, "an archive; tintype batch colours the photographs in it, or unpack it first")
    yield from others.line()


def unlistable_folder(path: str, why: str) -> LeftOut:
    """Return what is said of a folder that cannot be listed."""
    return LeftOut(printable(path), UNLISTABLE, f"the folder cannot be listed: {why}")


def is_named_like_photo(name: str) -> bool:
    """Return whether a file has a suffix of photographs."""
    return os.path.splitext(name)[1].lower() in FORMAT_OF_SUFFIX


def _in_archive(whole: FileEntry, reader: FileReader) -> Iterator[FileEntry | LeftOut]:
    if whole.kind == "tar.gz" and not reader.unpacks:
        yield whole
        return
    if whole.kind == "tar.gz":
        whole = whole._replace(kind="tar")
    others, locked = _OtherFiles(whole.location), 0
    try:
        for member in reader.members(whole):
            if archive_kind(member.name) is not None:
                yield LeftOut(member.name, NESTED, "an archive inside an archive is not opened; unpack it first")
            elif reader.is_locked(member):
                locked += 1
            else:
                yield from _judged(member, reader, others)
    except DataError as error:
        yield LeftOut(printable(whole.location), DAMAGED, str(error))
    if locked:
        many = f"{locked} files in it need" if locked > 1 else "a file in it needs"
        yield LeftOut(printable(whole.location), LOCKED, f"{many} a password; unpack it first")
    yield from others.line()


def _judged(
    entry: FileEntry, reader: FileReader, others: "_OtherFiles", *, is_named: bool = False
) -> Iterator[FileEntry | LeftOut]:
    """Yield a photograph's entry, with the suffix that fits it where it has none; or count it among the others."""
    if is_named_like_photo(entry.name):
        yield entry
        return
    if entry.name.endswith(SIDECAR_SUFFIX) and not is_named:
        return  # used with the photograph beside it
    try:
        with reader.open(entry) as stream:
            format = recognise_photo(stream.read(_HEAD_BYTES))
    except PhotoError as error:
        yield LeftOut(entry.name, error.reason, error.detail)
    except Exception as error:  # a broken member may raise whatever zlib and its like have
        yield LeftOut(entry.name, "unreadable", f"cannot be read: {str(error) or type(error).__name__}")
    else:
        if format is not None:
            yield entry._replace(suffix=format.suffix)
        elif is_named:
            yield entry
        else:
            others.add(entry.name)


class _OtherFiles:
    """Counts the files of a folder or archive that are no photographs."""

    def __init__(self, location: str):
        self._location = location
        self._kinds: Counter[str] = Counter()

    def add(self, name: str) -> None:
        self._kinds[os.path.splitext(name)[1].lower() or "without a suffix"] += 1

    def line(self) -> Iterator[LeftOut]:
        """Yield what is to be said of them, if there are any."""
        total = self._kinds.total()
        if total:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self._kinds.most_common())
            words = f"{total} other files are no photographs" if total > 1 else "1 other file is no photograph"
            yield LeftOut(printable(self._location), OTHER_FILES, f"{words}: {kinds}")
