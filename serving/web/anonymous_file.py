"""Files without a name: a photograph on disk that no path leads to, and that is gone when the process is."""

import io
import math
import os
import tempfile
import threading
from typing import IO, NamedTuple, cast

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from serving.web.problems import Kind, Problem

# What is written in one go. Smaller pieces would cost a change of threads each.
_PIECE_BYTES = 1 << 20

_MOST_READ_BYTES = 4 << 20  # of a stream, at once


class Quota:
    """Bytes that all files together may take; it belongs to one event loop."""

    def __init__(self, most: int):
        self.most = most
        self.held = 0

    def take(self, count: int) -> None:
        """Reserve so many bytes; raises Problem (`busy`) when there are not so many left."""
        if self.held + count > self.most:
            raise Problem(Kind.BUSY, "There is no room for another photo just now")
        self.held += count

    def give_back(self, count: int) -> None:
        """Release them."""
        self.held -= count


class _Place(NamedTuple):
    """Where the ab arrays of a page stand in a file, in bytes, and their shape [N, S, S, 2]."""

    start: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.start + 4 * math.prod(self.shape)


class AnonymousFile:
    """A photograph, and later its ab arrays, in a file without a name in the folder for temporary files (TMPDIR).

    The operating system deletes it with its last descriptor, also when the process is killed. What is written and
    read crosses a thread of anyio's, but for small photographs that may stay in memory.

        file = AnonymousFile(quota)
        await file.append(chunk)
        await file.finish()
        data = await file.read()
        file.close()
    """

    def __init__(self, quota: Quota):
        self.size = 0
        self._quota = quota
        self._taken = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._file: IO[bytes] | None = None
        self._is_closed = False
        self._ab: dict[int, _Place] = {}
        self._ab_bytes = 0  # that were ever taken for them
        # Descriptors are numbers that are used again: nobody may read from one that was closed in the meantime.
        self._lock = threading.Lock()

    async def append(self, data: bytes) -> None:
        """Add to the photograph's bytes; raises Problem (`busy`) when the quota is used up."""
        self._reserve(len(data))
        self.size += len(data)
        self._pending.append(bytes(data))
        self._pending_bytes += len(data)
        if self._pending_bytes >= _PIECE_BYTES:
            await self.finish()

    async def finish(self, *, small_in_memory: bool = False) -> None:
        """Write what is still in memory; with `small_in_memory` a photograph smaller than 1 MiB stays there."""
        if small_in_memory and self._file is None:
            return
        pieces, self._pending, self._pending_bytes = self._pending, [], 0
        if pieces:
            await anyio.to_thread.run_sync(self._write, b"".join(pieces), self.size - sum(map(len, pieces)))

    async def read(self) -> bytes:
        """Return the photograph."""
        if self._file is None:
            return self.read_blocking()
        return await anyio.to_thread.run_sync(self.read_blocking)

    def read_blocking(self, start: int = 0, count: int | None = None) -> bytes:
        """Return the photograph, or a part of it, from a thread; raises Problem (`not-found`) once it is closed."""
        return self._read(start, self.size - start if count is None else min(count, self.size - start))

    def open(self) -> IO[bytes]:
        """Return the photograph, or archive, as a seekable stream to read from in a thread.

        An OSError refuses to read more than 4 MiB at once, as for the directory of an archive of a million files.
        """
        return cast(IO[bytes], _Stream(self))

    async def write_ab(self, page: int, ab: NDArray[np.float32]) -> None:
        """Keep the a*b* found for a page of the photograph, [N, S, S, 2], behind all that is kept already.

        Raises:
            Problem: `busy`, when the quota is used up.
        """
        await self.finish()
        start = max((place.end for place in self._ab.values()), default=self.size)
        more = max(0, start + ab.nbytes - self.size - self._ab_bytes)  # others may have stood there
        self._reserve(more)
        self._ab_bytes += more
        await anyio.to_thread.run_sync(self._write, ab.astype("<f4").tobytes(), start)
        self._ab[page] = _Place(start, ab.shape)

    def forget_ab(self) -> None:
        """Let others take the place of what was found."""
        self._ab.clear()

    def read_ab_blocking(self, page: int, variant: int) -> NDArray[np.float32]:
        """Return an ab array of a page, [S, S, 2], from a thread; raises Problem (`not-ready`) if there is none."""
        place = self._ab.get(page)
        if place is None or not 0 <= variant < place.shape[0]:
            raise Problem(Kind.NOT_READY)
        count = 4 * math.prod(place.shape[1:])
        return np.frombuffer(self._read(place.start + variant * count, count), "<f4").reshape(place.shape[1:])

    def close(self) -> None:
        """Delete it."""
        with self._lock:
            self._is_closed = True
            self._pending.clear()
            if self._file is not None:
                self._file.close()
        self._quota.give_back(self._taken)
        self._taken = 0

    def _reserve(self, count: int) -> None:
        self._quota.take(count)
        self._taken += count

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        with self._lock:
            if self._is_closed:
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
            while view:
                written = os.pwrite(self._file.fileno(), view, offset)
                offset, view = offset + written, view[written:]

    def _read(self, offset: int, count: int) -> bytes:
        pieces = []
        with self._lock:
            if self._is_closed:
                raise Problem(Kind.NOT_FOUND, "The photo has been deleted")
            if self._file is None:
                self._pending = [b"".join(self._pending)]
                return self._pending[0] if count == self.size else self._pending[0][offset : offset + count]
            while count > 0:
                piece = os.pread(self._file.fileno(), count, offset)
                if not piece:
                    raise OSError(f"a temporary file ends {count} bytes early")
                pieces.append(piece)
                offset, count = offset + len(piece), count - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Stream(io.RawIOBase):
    """Reads a file without a name; closing it leaves the file as it is."""

    def __init__(self, file: AnonymousFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise OSError(f"expected a position of at least 0, received {start + offset}")
        self._position = start + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._file.size - self._position)
        count = left if size < 0 else min(size, left)
        if count > _MOST_READ_BYTES:
            raise OSError(f"{count:,} bytes of it would be read at once")
        data = self._file.read_blocking(self._position, count)
        self._position += len(data)
        return data
