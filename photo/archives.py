"""Reads photographs out of .zip, .tar and .tar.gz archives and from plain files, each a `FileEntry`.

An entry is small enough to be listed by the million, and enough to read its bytes later in another process. Nothing is
extracted to disk by a name from an archive: members are read as streams.
"""

import contextlib
import gzip
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple, cast

from photo.errors import DataError, PhotoError
from photo.folders import is_hidden, printable

# Larger files are left out unread: no photograph within the pixel limit needs that much, and a worker holds one whole.
MAX_FILE_BYTES = 512 << 20

# What reading broken or hostile files and archive members raises; RuntimeError is zipfile's word for "encrypted".
_READ_ERRORS = (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, RuntimeError, ValueError, OverflowError,
    struct.error,
)  # fmt: skip

_BLOCK_BYTES = 1 << 20
_OPEN_ARCHIVES = 4


class FileEntry(NamedTuple):
    """One file that may be a photograph.

    Attributes:
        name: the path below the folder, or inside the archive, with forward slashes; for people and labels.
        kind: "file", "zip", "tar" or "tar.gz".
        path: the file's, or its archive's, location in UTF-8 (bytes, because names on disk need not be text).
        position: the member's index in a zip, its header's offset in a tar, its index in a tar.gz; -1 for the archive
            as a whole (a tar.gz can only be read from its beginning); 0 for a plain file.
        suffix: that fits a photograph whose name has none of a photograph; else "".
        stamp: size and time of change of the file, or of its archive, as they were listed: another one may be another
            content; "" where nobody looked.
    """

    name: str
    kind: str
    path: bytes
    position: int
    suffix: str = ""
    stamp: str = ""

    @property
    def location(self) -> str:
        """Path as the file system knows it."""
        return self.path.decode("utf-8", "surrogateescape")


class TarMember(NamedTuple):
    """A regular file that `FileReader.walk` has come to; readable until the next one is asked for."""

    tar: tarfile.TarFile
    header: tarfile.TarInfo

    def open(self) -> IO[bytes]:
        """Open it.

        Raises:
            PhotoError: `too_many_bytes` for a member that declares more than `MAX_FILE_BYTES`.
        """
        return _extract(self.tar, self.header)


def archive_kind(path: str) -> str | None:
    """Return "zip", "tar", "tar.gz", or None for what is not named like an archive."""
    name = path.lower()
    if name.endswith(".zip"):
        return "zip"
    if name.endswith(".tar"):
        return "tar"
    return "tar.gz" if name.endswith((".tar.gz", ".tgz")) else None


def open_local(location: str) -> IO[bytes]:
    """Open a file of this machine for reading, as it is: nothing is decompressed."""
    return open(location, "rb")


class FileReader:
    """Opens entries, keeping the last few archives open.

    A context manager; not thread-safe.

    Args:
        open_file: opens the file at a location.
        open_archive: opens the archive at a location as a seekable stream; None: as `open_file` does.
        unpacks: `open_archive` unpacks a tar.gz, whose members are then read as those of a tar.
    """

    def __init__(
        self,
        open_file: Callable[[str], IO[bytes]] = open_local,
        open_archive: Callable[[str], IO[bytes]] | None = None,
        *,
        unpacks: bool = False,
    ) -> None:
        self.unpacks = unpacks
        self._open_file = open_file
        self._open_archive = open_archive or open_file
        self._archives: dict[bytes, IO[bytes]] = {}
        self._directories: dict[bytes, zipfile.ZipFile] = {}

    def __enter__(self) -> "FileReader":
        """Return the reader."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close every archive."""
        self.close()

    def close(self) -> None:
        """Close every archive."""
        for path in list(self._archives):
            self._close(path)

    def read_all(self, entries: Iterable[FileEntry]) -> Iterator[tuple[FileEntry, bytes | PhotoError]]:
        """Yield each file with its content, or with what was wrong with reading it; a tar.gz yields its members.

        Raises:
            DataError: when a tar.gz is damaged; what came before has been yielded.
        """
        for entry in entries:
            members: Iterable[tuple[FileEntry, TarMember | None]] = [(entry, None)]
            for member, opened in self.walk(entry) if entry.position < 0 else members:
                try:
                    with opened.open() if opened else self.open(member) as stream:
                        content: bytes | PhotoError = b"".join(read_blocks(stream))
                except PhotoError as error:
                    content = error
                yield member, content

    @contextlib.contextmanager
    def open(self, entry: FileEntry) -> Iterator[IO[bytes]]:
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

    def members(self, whole: FileEntry) -> Iterator[FileEntry]:
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
            if not (member.is_dir() or is_hidden(name)):
                yield whole._replace(name=_join(whole.name, name), position=index)

    def is_locked(self, member: FileEntry) -> bool:
        """Return whether a member of an archive can only be read with a password."""
        return member.kind == "zip" and bool(self._directory(member).infolist()[member.position].flag_bits & 1)

    def walk(self, whole: FileEntry) -> Iterator[tuple[FileEntry, TarMember]]:
        """Yield the regular files of a tar or tar.gz in order.

        Raises:
            DataError: when the archive is damaged; what came before has been yielded.
        """
        try:
            archive = self._archive(whole)
            archive.seek(0)
            with contextlib.ExitStack() as stack:
                if whole.kind == "tar.gz":
                    archive = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=archive)))
                bounded = _BoundedStream(archive)
                tar = stack.enter_context(tarfile.open(fileobj=bounded, mode="r:"))
                index, offset = 0, -1
                while (member := tar.next()) is not None:
                    # It remembers every member otherwise; the stubs do not know the list.
                    tar.members.clear()  # type: ignore[attr-defined]
                    if member.offset <= offset:  # a negative size would have it read in circles
                        raise tarfile.ReadError(f"a header leads back after {index} members")
                    offset = member.offset
                    name = _member_name(member.name)
                    if member.isreg() and not is_hidden(name):
                        position = index if whole.kind == "tar.gz" else member.offset
                        entry = whole._replace(name=_join(whole.name, name), position=position)
                        yield entry, TarMember(tar, member)
                    index += 1
                # tarfile takes a broken header for the end; the real end is a block of zeros, or nothing at all.
                if bounded.last_block.strip(b"\0"):
                    raise tarfile.ReadError(f"a broken header after {index} members")
        except _READ_ERRORS as error:
            raise _damaged(whole, error) from error

    def _open(self, entry: FileEntry, stack: contextlib.ExitStack) -> IO[bytes]:
        if entry.kind == "file":
            return stack.enter_context(self._open_file(entry.location))
        if entry.kind == "zip":
            directory = self._directory(entry)
            member = directory.infolist()[entry.position]
            _check_bytes(member.file_size)
            return stack.enter_context(directory.open(member))
        archive = self._archive(entry)
        archive.seek(entry.position)
        tar = stack.enter_context(tarfile.open(fileobj=_BoundedStream(archive), mode="r:"))  # noqa: SIM115
        return _extract(tar, tar.next())

    def _directory(self, entry: FileEntry) -> zipfile.ZipFile:
        archive = self._archive(entry)
        if entry.path not in self._directories:
            self._directories[entry.path] = zipfile.ZipFile(archive)
        return self._directories[entry.path]

    def _archive(self, entry: FileEntry) -> IO[bytes]:
        if entry.path not in self._archives:
            if len(self._archives) >= _OPEN_ARCHIVES:
                self._close(next(iter(self._archives)))
            self._archives[entry.path] = self._open_archive(entry.location)
        return self._archives[entry.path]

    def _close(self, path: bytes) -> None:
        self._directories.pop(path, None)
        self._archives.pop(path).close()


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


class _BoundedStream:
    """A seekable stream for tarfile that refuses to load, for a lying header, more than a photograph may hold."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last_block = b""

    def seek(self, position: int, whence: int = 0) -> int:
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()

    def write(self, data: bytes) -> int:
        raise tarfile.TarError("an archive is only read")

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_FILE_BYTES:
            raise tarfile.ReadError(f"a header asks for {size:,} bytes")
        data = self._stream.read(size)
        if size == tarfile.BLOCKSIZE:
            self.last_block = data
        return data


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


def _damaged(whole: FileEntry, error: BaseException) -> DataError:
    name = printable(whole.location)
    return DataError(f"the archive {name} is damaged or cannot be read: {str(error) or type(error).__name__}")


def _member_name(name: str) -> str:
    """Return a member's name as printable text without the leading "./" that tar writes."""
    return printable(name.removeprefix("./"))


def _join(archive: str, name: str) -> str:
    return f"{archive}/{name}" if archive else name
