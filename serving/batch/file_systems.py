"""Where the photographs lie: a folder, a .zip or a .tar, of this machine or of a file system that Beam knows by URL."""

import gzip
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from photo import finding
from photo.archives import FileEntry, FileReader, archive_kind, open_local
from photo.errors import DataError, PhotoError
from photo.finding import LeftOut
from photo.folders import ListedFile, fingerprint_of, is_hidden, list_folder, relative_name

_COPIED_AT_ONCE = 1 << 20
_KEPT_FREE = 1 << 30  # bytes of the disk that an unpacked tar.gz leaves to others


def is_local(location: str) -> bool:
    """Return whether `location` is a path of this machine rather than a URL of a Beam file system."""
    return FileSystems.get_scheme(location) is None


def literal(path: str) -> str:
    """Return the pattern of Beam's that matches this path alone: in it "[", "*" and "?" are letters."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def check_location(location: str) -> None:
    """Raise a DataError when a local folder or archive is not there, or no file system serves a URL."""
    if is_local(location):
        if not os.path.exists(location):
            raise DataError(f"no such folder or archive of photographs: {location}")
        return
    try:
        FileSystems.get_filesystem(location)
    except ValueError as error:
        raise DataError(f"no filesystem for {location}: {error}") from error


def list_files(location: str, *, unlistable: Callable[[str, str], None] | None = None) -> Iterator[ListedFile]:
    """Yield every file below a folder, or the one file that `location` is, but for what `list_folder` passes over.

    Args:
        location: a folder or a file.
        unlistable: as in `list_folder`.

    Raises:
        DataError: when `location` does not exist or cannot be listed.
    """
    check_location(location)
    if is_local(location):
        yield from list_folder(location, unlistable=unlistable)
        return
    pattern = literal(location) if archive_kind(location) else FileSystems.join(literal(location), "**")
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except OSError as error:
        raise DataError(f"cannot list {location}: {error}") from error
    for file in sorted(found, key=lambda file: file.path):
        if not is_hidden(relative_name(file.path, location)):
            yield ListedFile(file.path, file.size_in_bytes, file.last_updated_in_seconds or 0)


def look_at(location: str) -> ListedFile | None:
    """Return what its file system says of one file, unread; None when it is not there."""
    if is_local(location):
        try:
            status = os.stat(location)
        except OSError:
            return None
        return ListedFile(location, status.st_size, status.st_mtime_ns)
    found = FileSystems.match([literal(location)])[0].metadata_list
    file = next((file for file in found if file.path == location), None)
    return file and ListedFile(location, file.size_in_bytes, file.last_updated_in_seconds or 0)


def find_photographs(location: str) -> Iterator[FileEntry | LeftOut]:
    """Yield an entry for every photograph in a folder or archive, and what is left out, as `photo.finding` has it.

    Raises:
        DataError: when `location` does not exist or cannot be listed.
    """
    unlistable: list[LeftOut] = []
    with file_reader() as reader:
        files = list_files(
            location, unlistable=lambda path, why: unlistable.append(finding.unlistable_folder(path, why))
        )
        yield from finding.find_photographs(files, location, reader)
    yield from unlistable


def read_photographs(entries: Iterable[FileEntry]) -> Iterator[tuple[FileEntry, bytes | PhotoError]]:
    """Yield each file with its content, or with what was wrong with reading it, as `FileReader.read_all`."""
    with file_reader() as reader:
        yield from reader.read_all(entries)


def fingerprint(location: str) -> str:
    """Return a line that changes when a file anywhere below `location` is added, removed, renamed or changed."""
    return fingerprint_of(list_files(location), location)


def file_reader(*, any_order: bool = False) -> FileReader:
    """Return what opens entries on any file system; of a remote archive what is needed is read, in ranges.

    Where a file system reads from the beginning alone, the archive is first copied to a private temporary file.

    Args:
        any_order: members of a tar.gz are read in any order, as those of a tar are: it is unpacked to a private
            temporary file.
    """
    return FileReader(open_file, _open_unpacked if any_order else _open_archive, unpacks=any_order)


def open_file(location: str) -> IO[bytes]:
    """Open a file of this machine or of a Beam file system for reading, as it is: nothing is decompressed."""
    if is_local(location):
        return open_local(location)
    return cast(IO[bytes], FileSystems.open(location, compression_type=CompressionTypes.UNCOMPRESSED))


def _open_archive(location: str) -> IO[bytes]:
    stream = open_file(location)
    if stream.seekable():  # an object store is then asked for ranges
        return stream
    with stream as remote:
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - the reader closes it
        shutil.copyfileobj(remote, copy, _COPIED_AT_ONCE)
    return copy


def _open_unpacked(location: str) -> IO[bytes]:
    stream = _open_archive(location)
    if archive_kind(location) != "tar.gz":
        return stream
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the reader closes it
    with stream, gzip.GzipFile(fileobj=stream) as packed:
        while block := packed.read(_COPIED_AT_ONCE):
            if shutil.disk_usage(tempfile.gettempdir()).free < _KEPT_FREE:
                unpacked.close()
                raise OSError(f"unpacked into {tempfile.gettempdir()} it would fill the disk")
            unpacked.write(block)
    return unpacked
