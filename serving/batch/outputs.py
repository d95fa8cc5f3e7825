"""Writes what a job leaves: whole files, on this machine and on any file system of Beam."""

import contextlib
import os
import secrets
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from photo.errors import TintypeError
from photo.whole_file import write_whole
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import is_local, look_at

# Object stores show an object when it is whole; elsewhere a name appears when the file is opened.
_WHOLE_BY_THEMSELVES = frozenset({"gs", "s3", "azfs"})


def join(output: str, name: str) -> str:
    """Return the location of `name`, a path with forward slashes, below `output`."""
    return os.path.join(output, *name.split("/")) if is_local(output) else f"{output.rstrip('/')}/{name}"


def write_file(location: str, data: bytes, *, dated_as: str | None = None) -> None:
    """Write a file that appears whole or not at all; missing folders are made, what stood there before is replaced.

    Args:
        location: of the file.
        data: its bytes.
        dated_as: a file whose dates it gets, where both are on this machine; None keeps those of its writing.

    Raises:
        TintypeError: it cannot be written.
    """
    try:
        if is_local(location):
            dated = Path(dated_as) if dated_as is not None and is_local(dated_as) else None
            write_whole(Path(location), data, dated_as=dated)
        else:
            _write_remote(location, data)
    except (OSError, ValueError) as error:
        raise TintypeError(f"cannot write {location}: {error}") from error


def write_own_file(location: str, data: bytes) -> None:
    """Write what the job keeps or says of itself, as `write_file`.

    Raises:
        BatchStopped: it cannot be written.
    """
    try:
        write_file(location, data)
    except TintypeError as error:
        raise BatchStopped(str(error)) from error


def _write_remote(location: str, data: bytes) -> None:
    if FileSystems.get_scheme(location) in _WHOLE_BY_THEMSELVES:
        _create(location, data)
        return
    folder = location.rpartition("/")[0]
    with contextlib.suppress(OSError):  # it is there already
        FileSystems.mkdirs(folder)
    temporary = f"{folder}/.{secrets.token_hex(8)}.part"
    _create(temporary, data)
    if FileSystems.exists(location):
        FileSystems.delete([location])
    FileSystems.rename([temporary], [location])


def _create(location: str, data: bytes) -> None:
    with FileSystems.create(location, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)


def size_of(location: str) -> int | None:
    """Return the size of a file in bytes; None when it is not there."""
    file = look_at(location)
    return None if file is None else file.size
