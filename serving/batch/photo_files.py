"""Where the photographs lie: lists and reads the files of a folder, a .zip or a .tar, local or on a Beam filesystem.

Every file is an `Entry`: small enough to travel through Beam by the million, and enough to read its bytes later on
another worker. Nothing is extracted to disk by a name from an archive: members are read as streams.
"""

import contextlib
import gzip
import hashlib
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from photo.errors import PhotoError, TintypeError

# Larger files are left out unread: no photograph within the pixel limit needs that much, and a worker holds one whole.
MAX_FILE_BYTES = 512 << 20

# What reading broken or hostile files and archive members raises; RuntimeError is zipfile's word for "encrypted".
_READ_ERRORS = (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, RuntimeError, ValueError, OverflowError,
    struct.error,
)  # fmt: skip

_BLOCK_BYTES = 1 << 20
_OPEN_ARCHIVES = 4
_SYSTEM_FILES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})


class DataError(TintypeError):
    """The photographs as a whole cannot be used: absent, an archive is damaged, or too many are unreadable."""


class ListedFile(NamedTuple):
    """A file as its filesystem lists it; `changed` is the time of its last change in that filesystem's own unit."""

    path: str
    size: int
    changed: float


class Entry(NamedTuple):
    """One file that may be a photograph.

    Attributes:
        name: the path below the folder, or inside the archive, with forward slashes; for people and labels.
        kind: "file", "zip", "tar" or "tar.gz".
        path: the file's, or its archive's, location in UTF-8 (bytes, because names on disk need not be text).
        position: the member's index in a zip, its header's offset in a tar, its index in a tar.gz; -1 for the archive
            as a whole (a tar.gz can only be read from its beginning); 0 for a plain file.
    """

    name: str
    kind: str
    path: bytes
    position: int

    @property
    def location(self) -> str:
        """Path as the filesystem knows it."""
        return self.path.decode("utf-8", "surrogateescape")


def archive_kind(path: str) -> str | None:
    """Return "zip", "tar", "tar.gz", or None for what is not named like an archive."""
    name = path.lower()
    if name.endswith(".zip"):
        return "zip"
    if name.endswith(".tar"):
        return "tar"
    return "tar.gz" if name.endswith((".tar.gz", ".tgz")) else None


def is_local(location: str) -> bool:
    """Return whether `location` is a path of this machine rather than a URL of a Beam filesystem."""
    return FileSystems.get_scheme(location) is None


def check_location(location: str) -> None:
    """Raise a DataError when a local folder or archive is not there, or no filesystem serves a URL."""
    if is_local(location):
        if not os.path.exists(location):
            raise DataError(f"no such folder or archive of photographs: {location}")
        return
    try:
        FileSystems.get_filesystem(location)
    except ValueError as error:
        raise DataError(f"no filesystem for {location}: {error}") from error


def list_files(location: str) -> Iterator[ListedFile]:
    """Yield every file below a folder, or the one file that `location` is.

    Files and folders whose name begins with a dot, and those that systems leave beside photographs, are passed over.
    A local folder is listed in the order of names; linked folders are followed, each folder once.

    Raises:
        DataError: when `location` does not exist or cannot be listed.
    """
    check_location(location)
    if is_local(location):
        yield from _list_local(location)
        return
    pattern = location if archive_kind(location) else FileSystems.join(location, "**")
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except OSError as error:
        raise DataError(f"cannot list {location}: {error}") from error
    for file in sorted(found, key=lambda file: file.path):
        if not _is_hidden(relative_name(file.path, location)):
            yield ListedFile(file.path, file.size_in_bytes, file.last_updated_in_seconds or 0)


def relative_name(path: str, location: str) -> str:
    """Return `path` below the folder `location`, as printable text with forward slashes; its last part for a file."""
    base = location.rstrip("/" + os.sep)
    name = path[len(base) :] if path.startswith(base + "/") or path.startswith(base + os.sep) else ""
    return _printable((name or path.rsplit("/", 1)[-1]).replace(os.sep, "/").lstrip("/"))


def list_entries(location: str) -> Iterator[Entry]:
    """Yield an entry for every file below a folder and every member of every archive, without reading the photographs.

    Members of an archive that is itself the `location` are named as in the archive, so that a folder and its archive
    give the same names; members of an archive inside a folder begin with the archive's own name.

    Raises:
        DataError: when `location` does not exist; its message names an archive that is damaged.
    """
    with EntryReader() as reader:
        for file in list_files(location):
            kind = archive_kind(file.path)
            path = file.path.encode("utf-8", "surrogateescape")
            name = relative_name(file.path, location)
            if kind is None:
                yield Entry(name, "file", path, 0)
                continue
            whole = Entry("" if file.path == location else name, kind, path, -1)
            if kind == "tar.gz":
                yield whole
            else:
                yield from reader.members(whole)


def fingerprint(location: str) -> str:
    """Return a line that changes when a file anywhere below `location` is added, removed, renamed or changed."""
    digest = hashlib.sha256()
    count = size = 0
    for file in list_files(location):
        digest.update(f"{relative_name(file.path, location)}\0{file.size}\0{file.changed}\n".encode())
        count += 1
        size += file.size
    return f"num_files:{count},total_bytes:{size},sha256:{digest.hexdigest()}"


class EntryReader:
    """Opens entries, keeping the last few archives open; a remote archive is first copied to a private temporary file.

    A context manager; not thread-safe.
    """

    def __init__(self):
        self._archives: dict[bytes, IO[bytes]] = {}
        self._directories: dict[bytes, zipfile.ZipFile] = {}

    def __enter__(self) -> "EntryReader":
        """Return the reader."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close every archive."""
        self.close()

    def close(self) -> None:
        """Close every archive."""
        for path in list(self._archives):
            self._close(path)

    @contextlib.contextmanager
    def open(self, entry: Entry) -> Iterator[IO[bytes]]:
        """Open one file or member for reading from its beginning; not for members of a tar.gz.

        Raises:
            PhotoError: `unreadable`, or `too_many_bytes` for a member that declares more than `MAX_FILE_BYTES`.
        """
        with contextlib.ExitStack() as stack:
            try:
                stream = self._open(entry, stack)
            except _READ_ERRORS as error:
                raise _unreadable(error) from error
            yield stream

    def members(self, whole: Entry) -> Iterator[Entry]:
        """Yield the members of a zip or tar from its directory or headers.

        Raises:
            DataError: when the archive is damaged or cannot be opened.
        """
        if whole.kind == "tar":
            yield from (entry for entry, _ in self.walk(whole))
            return
        try:
            members = self._directory(whole).infolist()
        except _READ_ERRORS as error:
            raise _damaged(whole, error) from error
        for index, member in enumerate(members):
            name = _member_name(member.filename)
            if not (member.is_dir() or _is_hidden(name)):
                yield Entry(_join(whole.name, name), "zip", whole.path, index)

    def walk(self, whole: Entry) -> Iterator[tuple[Entry, tuple[tarfile.TarFile, tarfile.TarInfo]]]:
        """Yield the regular files of a tar or tar.gz in order; `read_member` opens one until the next is asked for.

        Raises:
            DataError: when the archive is damaged; what came before has been yielded.
        """
        try:
            archive = self._archive(whole)
            archive.seek(0)
            with contextlib.ExitStack() as stack:
                if whole.kind == "tar.gz":
                    archive = stack.enter_context(gzip.GzipFile(fileobj=archive))
                bounded = _Bounded(archive)
                tar = stack.enter_context(tarfile.open(fileobj=bounded, mode="r:"))
                index, offset = 0, -1
                while (member := tar.next()) is not None:
                    tar.members.clear()  # it remembers every member otherwise
                    if member.offset <= offset:  # a negative size would have it read in circles
                        raise tarfile.ReadError(f"a header leads back after {index} members")
                    offset = member.offset
                    name = _member_name(member.name)
                    if member.isreg() and not _is_hidden(name):
                        position = index if whole.kind == "tar.gz" else member.offset
                        yield Entry(_join(whole.name, name), whole.kind, whole.path, position), (tar, member)
                    index += 1
                # tarfile takes a broken header for the end; the real end is a block of zeros, or nothing at all.
                if bounded.last_block.strip(b"\0"):
                    raise tarfile.ReadError(f"a broken header after {index} members")
        except _READ_ERRORS as error:
            raise _damaged(whole, error) from error

    def _open(self, entry: Entry, stack: contextlib.ExitStack) -> IO[bytes]:
        if entry.kind == "file":
            return stack.enter_context(open_file(entry.location))
        if entry.kind == "zip":
            directory = self._directory(entry)
            member = directory.infolist()[entry.position]
            _check_bytes(member.file_size)
            return stack.enter_context(directory.open(member))
        archive = self._archive(entry)
        archive.seek(entry.position)
        tar = stack.enter_context(tarfile.open(fileobj=_Bounded(archive), mode="r:"))  # noqa: SIM115
        return _extract(tar, tar.next())

    def _directory(self, entry: Entry) -> zipfile.ZipFile:
        archive = self._archive(entry)
        if entry.path not in self._directories:
            self._directories[entry.path] = zipfile.ZipFile(archive)
        return self._directories[entry.path]

    def _archive(self, entry: Entry) -> IO[bytes]:
        if entry.path not in self._archives:
            if len(self._archives) >= _OPEN_ARCHIVES:
                self._close(next(iter(self._archives)))
            self._archives[entry.path] = self._open_archive(entry)
        return self._archives[entry.path]

    def _open_archive(self, entry: Entry) -> IO[bytes]:
        """Return a seekable stream of the archive."""
        stream = open_file(entry.location)
        if is_local(entry.location):
            return stream
        with stream as remote:
            copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _close
            shutil.copyfileobj(remote, copy, _BLOCK_BYTES)
        return copy

    def _close(self, path: bytes) -> None:
        self._directories.pop(path, None)
        self._archives.pop(path).close()


def read_member(opened: tuple[tarfile.TarFile, tarfile.TarInfo]) -> IO[bytes]:
    """Open what `EntryReader.walk` has just yielded.

    Raises:
        PhotoError: `too_many_bytes` for a member that declares more than `MAX_FILE_BYTES`.
    """
    return _extract(*opened)


def read_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes in blocks.

    Raises:
        PhotoError: `too_many_bytes` as soon as there are more than `MAX_FILE_BYTES`, whatever the file declared;
            `unreadable` when it cannot be read.
    """
    size = 0
    try:
        while block := stream.read(_BLOCK_BYTES):
            size += len(block)
            _check_bytes(size)
            yield block
    except _READ_ERRORS as error:
        raise _unreadable(error) from error


class _Bounded:
    """A seekable stream for tarfile that refuses to load, for a lying header, more than a photograph may hold."""

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self.last_block = b""
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_FILE_BYTES:
            raise tarfile.ReadError(f"a header asks for {size:,} bytes")
        data = self._stream.read(size)
        if size == tarfile.BLOCKSIZE:
            self.last_block = data
        return data


def _list_local(location: str) -> Iterator[ListedFile]:
    if os.path.isfile(location):
        yield _local_file(location)
        return

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot list {error.filename}: {error.strerror}") from error

    seen = set()
    for folder, subfolders, files in os.walk(location, onerror=refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link back into the tree
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not _is_hidden(name))
        for name in sorted(files):
            path = os.path.join(folder, name)
            if not _is_hidden(name) and not _is_special(path):
                yield _local_file(path)


def _local_file(path: str) -> ListedFile:
    try:
        status = os.stat(path)
    except OSError:  # a link to nowhere: listed, so that the report names it
        return ListedFile(path, 0, 0)
    return ListedFile(path, status.st_size, status.st_mtime_ns)


def _is_special(path: str) -> bool:
    """Return whether this is a pipe, socket or device: opening one may block for ever."""
    return os.path.exists(path) and not os.path.isfile(path)


def open_file(location: str) -> IO[bytes]:
    """Open a file of this machine or of a Beam filesystem for reading, as it is: nothing is decompressed."""
    if is_local(location):
        return open(location, "rb")
    return FileSystems.open(location, compression_type=CompressionTypes.UNCOMPRESSED)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> IO[bytes]:
    stream = tar.extractfile(member) if member is not None and member.isreg() else None
    if member is None or stream is None:
        raise PhotoError("unreadable", "the archive changed while it was read")
    _check_bytes(member.size)
    return stream


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise PhotoError("too_many_bytes", f"more than {MAX_FILE_BYTES:,} bytes")


def _unreadable(error: BaseException) -> PhotoError:
    return PhotoError("unreadable", f"cannot be read: {str(error) or type(error).__name__}")


def _damaged(whole: Entry, error: BaseException) -> DataError:
    name = _printable(whole.location)
    return DataError(f"the archive {name} is damaged or cannot be read: {str(error) or type(error).__name__}")


def _member_name(name: str) -> str:
    """Return a member's name as printable text without the leading "./" that tar writes."""
    return _printable(name.removeprefix("./"))


def _join(archive: str, name: str) -> str:
    return f"{archive}/{name}" if archive else name


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return any((part.startswith(".") and part not in (".", "..")) or part in _SYSTEM_FILES for part in parts)


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_photographs(entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes | PhotoError]]:
    """Yield each file with its content, or with what was wrong with reading it; a tar.gz yields its members.

    Raises:
        DataError: when a tar.gz is damaged; what came before has been yielded.
    """
    with EntryReader() as reader:
        for entry in entries:
            members = reader.walk(entry) if entry.position < 0 else [(entry, None)]
            for member, opened in members:
                try:
                    with contextlib.nullcontext(read_member(opened)) if opened else reader.open(member) as stream:
                        content: bytes | PhotoError = b"".join(read_blocks(stream))
                except PhotoError as error:
                    content = error
                yield member, content
