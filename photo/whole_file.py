"""Writes files, and folders of them, so that nobody ever sees half of one."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from photo.errors import TintypeError


def write_whole(path: Path, data: bytes | str, *, dated_as: Path | None = None) -> None:
    """Write a file, text in UTF-8, as `whole_file` does; with the dates of another one, where it is named."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        if dated_as is not None:
            dates = dated_as.stat()
            os.utime(temporary, ns=(dates.st_atime_ns, dates.st_mtime_ns))


@contextlib.contextmanager
def whole_file(path: Path, *, unique: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside `path`, and rename what was written there; missing folders are made.

    Args:
        path: of the file.
        unique: several processes may write it at once. False for a large file that one process at a time writes: the
            next one overwrites what a killed one left.

    Raises:
        TintypeError: the file cannot be written; nothing is left of it, and what stood there before stays.
    """
    temporary = path.with_name(f".{secrets.token_hex(8) if unique else path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise TintypeError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its place when the block ends well; one process at a time.

    What a killed process left is removed by the next one; what stands at `path` stays until the new one is whole.

    Raises:
        OSError: the folder cannot be made.
    """
    temporary = path.with_name(f".{path.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
