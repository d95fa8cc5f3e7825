"""Coloured photographs on their way out: one picture, or many as a ZIP that is made while it is sent."""

import io
import re
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import anyio.to_thread
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from photo.folders import portable_name
from photo.formats import PhotoFormat
from serving.web.anonymous_file import AnonymousFile, Quota

if TYPE_CHECKING:
    from typing_extensions import Buffer  # in collections.abc from Python 3.12 on

MEDIA_TYPES = {format: f"image/{format.lower()}" for format in PhotoFormat}
_SUFFIXES = {format: format.suffix for format in PhotoFormat} | {PhotoFormat.TIFF: ".tif"}

# Larger results wait on disk for a client that reads slowly.
_MEMORY_BYTES = 4 << 20
_PIECE_BYTES = 512 << 10

# Of a header: proxies take 4 kB of headers together.
_MOST_NOTES, _LONGEST_NOTE = 10, 200


class Result(NamedTuple):
    """A coloured file and its name."""

    name: str
    data: bytes


def result_name(name: str, format: PhotoFormat, variant: int | None = None) -> str:
    """Return the name of a result: `grandmother-coloured.jpg`, of the variant 2 `grandmother-coloured-variant-2.jpg`.

    It is one that every system takes for a file, whatever the photograph was called.
    """
    number = "" if variant is None else f"-variant-{variant}"
    return f"{portable_name(PurePosixPath(name).stem)}-coloured{number}{_SUFFIXES[format]}"


def attachment(name: str) -> str:
    """Return a Content-Disposition that makes a browser save under this name (RFC 6266, RFC 8187)."""
    plain = re.sub(r"[^\w.() -]", "_", name, flags=re.ASCII)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"


class PictureResponse(Response):
    """A picture; a large one is sent from a file without a name.

    Args:
        data: the encoded picture.
        format: of it.
        quota: of the files.
        name: to save it under; None shows it.
        notes: what is to be said of the result, each in words; they stand in the header X-Tintype-Notes.
        when_sent: called when all of it was sent.
    """

    def __init__(
        self,
        data: bytes,
        format: PhotoFormat,
        quota: Quota,
        *,
        name: str | None = None,
        notes: tuple[str, ...] = (),
        when_sent: Callable[[], None] = lambda: None,
    ):
        headers = {"Content-Length": str(len(data)), **_noted(notes)}
        if name is not None:
            headers["Content-Disposition"] = attachment(name)
        super().__init__(None, 200, headers, MEDIA_TYPES[format])
        self._data = data
        self._quota = quota
        self._when_sent = when_sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if len(self._data) <= _MEMORY_BYTES:
            await send(start)
            await send({"type": "http.response.body", "body": self._data})
            self._when_sent()
            return
        file = AnonymousFile(self._quota)
        try:
            await file.append(self._data)
            self._data = b""
            await send(start)
            for offset in range(0, file.size, _PIECE_BYTES):
                piece = await anyio.to_thread.run_sync(file.read_blocking, offset, _PIECE_BYTES)
                is_last = offset + len(piece) == file.size
                await send({"type": "http.response.body", "body": piece, "more_body": not is_last})
        finally:
            file.close()
        self._when_sent()


def zip_response(results: AsyncIterator[Result], notes: tuple[str, ...] = ()) -> StreamingResponse:
    """Return an answer that a browser saves as coloured.zip, with the notes in the header X-Tintype-Notes."""
    return StreamingResponse(
        _zipped(results),
        media_type="application/zip",
        headers={"Content-Disposition": attachment("coloured.zip"), "X-Accel-Buffering": "no", **_noted(notes)},
    )


def _noted(notes: tuple[str, ...]) -> dict[str, str]:
    """Return the header with the notes, in characters that a header holds; of very many the first, and how many more.

    They may have names from the photograph's file in them.
    """
    if not notes:
        return {}
    plain = [re.sub(r"[^ -~]", "?", note)[:_LONGEST_NOTE] for note in notes]
    more = [f"and {len(plain) - _MOST_NOTES} more"] if len(plain) > _MOST_NOTES else []
    return {"X-Tintype-Notes": "; ".join(plain[:_MOST_NOTES] + more)}


async def _zipped(results: AsyncIterator[Result]) -> AsyncIterator[bytes]:
    """Yield the bytes of a ZIP with the results, one held at a time; names that come twice get a number."""
    out = _UnseekableBuffer()
    taken: set[str] = set()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        async for name, data in results:
            path, number = PurePosixPath(name), 2
            while name.casefold() in taken:
                name, number = f"{path.stem}-{number}{path.suffix}", number + 1
            taken.add(name.casefold())
            await anyio.to_thread.run_sync(archive.writestr, name, data)
            yield out.taken()
    yield out.taken()


class _UnseekableBuffer(io.RawIOBase):
    """What a ZIP is written into; it cannot go back, and so the ZIP is made without that."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer") -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
