"""Locks between processes, by a file.

Ours, not the package filelock: that one polls, does not name the holder, and may fall back to a lock that a killed
process keeps.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from photo.errors import TintypeError


@contextlib.contextmanager
def locked(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold the lock file `path`; the system frees it when the process ends, however it ends.

    The file stays, because to remove it would let two in; while it is held it names the process.

    Args:
        path: its folder is there.
        busy: what to say, before the holder's name, when another holds it; None waits until it is free.

    Raises:
        TintypeError: another holds it, and `busy` was given.
        OSError: the file cannot be written.
    """
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip()
            raise TintypeError(f"{busy} ({holder})" if holder else str(busy)) from error
        with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
            _write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                _write(file.fileno(), "")


def _write(descriptor: int, holder: str) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, holder.encode())
