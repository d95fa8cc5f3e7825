"""Takes photographs out of a request's body, raw or as a form, within limits; nothing in it is believed."""

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from photo.decoding import photo_size
from photo.errors import PhotoError
from serving.web.nameless_file import NamelessFile, Quota
from serving.web.problems import Kind, Problem, problem_from
from serving.web.settings import Limits

FIELD = "photo"  # the name of the form's field, once for every photograph

_LONGEST_NAME = 120
_LONGEST_PART_HEADER = 8192

# What no photograph holds and a browser, an archiver or a viewer would take a file for. Of text, some more readable
# characters must follow: compressed pixels contain every short sequence some day.
_MARKUP = re.compile(rb"<(?i:!doctype|html|head|body|script|iframe|svg|\?php)[\s>/][\t\n\r -~]{8}")
_LONGEST_MARKUP = 32
_WINDOW = 1 << 20  # the search holds the interpreter's lock, which other threads want in between
_PDF = b"%PDF-"
_PDF_LEEWAY = 1024  # where readers look for its beginning
_ZIP_END = b"PK\x05\x06"
_ZIP_LEEWAY = 65_557  # its end, and the longest comment behind it


@dataclass
class Upload:
    """A file of a request.

    Attributes:
        name: as its sender calls it, made harmless; for people, never for a file system.
        file: its bytes; closed when there is a problem.
        problem: why it cannot be used.
    """

    name: str
    file: NamelessFile
    problem: Problem | None = None


@dataclass
class _Form:
    """What the parser of a form has told and has not been seen to yet."""

    events: list[tuple[str, bytes]] = field(default_factory=list)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""


@asynccontextmanager
async def received_photos(
    request: Request, limits: Limits, quota: Quota, *, most: int | None = None, small_in_memory: bool = False
) -> AsyncIterator[list[Upload]]:
    """Yield the photographs of a request's body; those not taken over (`keep`ed by removing them) are deleted after.

    A body that is no form is one photograph. In a form every field `photo` with a file is one; a file that is too
    large has a problem, and the others go on.

    Args:
        request: whose body was not read yet.
        limits: of sizes and times.
        quota: of the files.
        most: photographs that are taken; `limits.photos` if None.
        small_in_memory: small photographs stay in memory, for a request that ends with them.

    Raises:
        Problem: when the request as a whole cannot be used.
    """
    uploads: list[Upload] = []
    most = limits.photos if most is None else most
    content_type, parameters = parse_options_header(request.headers.get("content-type"))
    try:
        try:
            async with asyncio.timeout(limits.upload_seconds):
                if content_type == b"multipart/form-data":
                    await _read_form(
                        request, parameters.get(b"boundary", b""), limits, quota, most, small_in_memory, uploads
                    )
                else:
                    await _read_raw(request, limits, quota, small_in_memory, uploads)
        except TimeoutError:
            raise Problem(
                Kind.UPLOAD_TOO_SLOW,
                f"It did not arrive within {limits.upload_seconds:g} s, or stood still for {limits.stall_seconds:g} s",
            ) from None
        yield uploads
    finally:
        for upload in uploads:
            upload.file.close()


def check_photo(data: bytes, max_pixels: int) -> tuple[str, int, int]:
    """Return format, width and height of a file that is a photograph and nothing else.

    Raises:
        Problem: it is another kind of file, two kinds at once, too large, or broken.
    """
    try:
        found = photo_size(data, max_pixels=max_pixels)
    except PhotoError as error:
        raise problem_from(error) from error
    if what := _other_kind(data):
        raise Problem(Kind.NO_PHOTO, f"The file is a photo and {what} at once, which photos never are")
    return found


def safe_name(name: str | None) -> str:
    """Return the last part of a file's name without anything that is not to be shown; `photo` where nothing is left."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name or ""))[-1]
    # Control and format characters, of those the ones that turn the direction of writing; and halves of pairs.
    shown = "".join(char for char in last if not unicodedata.category(char).startswith("C")).strip(" .")
    return shown[-_LONGEST_NAME:] or "photo"


def _other_kind(data: bytes) -> str | None:
    if _PDF in data[:_PDF_LEEWAY]:
        return "a PDF"
    end = data.rfind(_ZIP_END, max(0, len(data) - _ZIP_LEEWAY))
    if end >= 0 and end + 22 + int.from_bytes(data[end + 20 : end + 22], "little") <= len(data):
        return "an archive"
    windows = (_MARKUP.search(data, start, start + _WINDOW + _LONGEST_MARKUP) for start in range(0, len(data), _WINDOW))
    return "a web page or script" if any(windows) else None


async def _chunks(request: Request, limits: Limits, most: int) -> AsyncIterator[bytes]:
    """Yield the body; what comes late or after `most` bytes ends it."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise _too_large(most)
    size = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(limits.stall_seconds):
                chunk = await anext(stream, None)
        except ClientDisconnect:
            raise Problem(Kind.BROKEN_UPLOAD, "The connection ended in the middle") from None
        if chunk is None:
            return
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        if chunk:
            yield chunk


async def _read_raw(
    request: Request, limits: Limits, quota: Quota, small_in_memory: bool, uploads: list[Upload]
) -> None:
    upload = Upload(safe_name(unquote(request.headers.get("x-file-name", ""))), NamelessFile(quota))
    uploads.append(upload)
    async for chunk in _chunks(request, limits, limits.photo_bytes):
        await upload.file.append(chunk)
    if not upload.file.size:
        raise Problem(Kind.BROKEN_PHOTO, "The file is empty (0 bytes)")
    await upload.file.finish(small_in_memory=small_in_memory)


async def _read_form(
    request: Request,
    boundary: bytes,
    limits: Limits,
    quota: Quota,
    most: int,
    small_in_memory: bool,
    uploads: list[Upload],
) -> None:
    form = _Form()
    current: Upload | None = None
    try:
        parser = MultipartParser(boundary, _callbacks(form))
        # Every photograph may be of the largest size; some more for the form around them.
        async for chunk in _chunks(request, limits, most * (limits.photo_bytes + _LONGEST_PART_HEADER)):
            parser.write(chunk)
            for event, data in form.events:
                match event:
                    case "file":
                        if len(uploads) == most:
                            raise Problem(Kind.TOO_MANY_PHOTOS, f"At most {most} are taken")
                        current = Upload(safe_name(data.decode("utf-8", "replace")), NamelessFile(quota))
                        uploads.append(current)
                    case "data" if current is not None:
                        await _add(current, data, limits)
                    case "end" if current is not None:
                        if current.problem is None:
                            await current.file.finish(small_in_memory=small_in_memory)
                        current = None
            form.events.clear()
        parser.finalize()
    except FormParserError as error:
        raise Problem(Kind.BROKEN_UPLOAD, "The form (multipart/form-data) is not well-formed") from error
    if current is not None:
        raise Problem(Kind.BROKEN_UPLOAD, "The form (multipart/form-data) breaks off")
    if not uploads:
        raise Problem(Kind.WRONG_REQUEST, f"Expected a form with a file in its field {FIELD!r}, received none")


async def _add(upload: Upload, data: bytes, limits: Limits) -> None:
    if upload.problem is not None:
        return
    if upload.file.size + len(data) > limits.photo_bytes:
        upload.problem = _too_large(limits.photo_bytes)
        upload.file.close()
        return
    await upload.file.append(data)


def _callbacks(form: _Form) -> Any:
    """Return callbacks that note what the parser finds, because they cannot be awaited themselves."""

    def begin() -> None:
        form.disposition = b""

    def header_field(data: bytes, start: int, end: int) -> None:
        form.header_name += data[start:end]
        bounded()

    def header_value(data: bytes, start: int, end: int) -> None:
        form.header_value += data[start:end]
        bounded()

    def bounded() -> None:
        if len(form.header_name) + len(form.header_value) > _LONGEST_PART_HEADER:
            raise FormParserError("a part's header is too long")

    def header_end() -> None:
        if form.header_name.lower() == b"content-disposition":
            form.disposition = bytes(form.header_value)
        form.header_name.clear()
        form.header_value.clear()

    def headers_finished() -> None:
        _, options = parse_options_header(form.disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != FIELD or b"filename" not in options:
            raise Problem(
                Kind.WRONG_REQUEST,
                f"Expected files in fields named {FIELD!r} alone, received the field {name[:40]!r}; "
                "variants, strength and format belong into the address (?strength=1.2)",
            )
        form.events.append(("file", options[b"filename"]))

    def part_data(data: bytes, start: int, end: int) -> None:
        form.events.append(("data", data[start:end]))

    return {
        "on_part_begin": begin,
        "on_header_field": header_field,
        "on_header_value": header_value,
        "on_header_end": header_end,
        "on_headers_finished": headers_finished,
        "on_part_data": part_data,
        "on_part_end": lambda: form.events.append(("end", b"")),
    }


def _too_large(most: int) -> Problem:
    return Problem(Kind.PHOTO_TOO_LARGE, f"At most {most / 2**20:.3g} MB are taken")
