"""Takes photographs out of a request's body, raw or as a form, within limits; nothing in it is believed."""

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from photo.decoding import PhotoHeader, read_header
from photo.errors import PhotoError, TintypeError
from photo.hints import Hint, HintsByPhoto, hints_from_json
from serving.web.anonymous_file import AnonymousFile, Quota
from serving.web.archives import Member, is_zip, walk_zip
from serving.web.problems import Kind, Problem, problem_from
from serving.web.settings import Limits

FIELD = "photo"  # the name of the form's field, once for every photograph
HINTS_FIELD = "hints"  # and of the one with the photographs' hints, as JSON

_LONGEST_HINTS = 1 << 18

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
        hints: colours that are asked for.
    """

    name: str
    file: AnonymousFile
    problem: Problem | None = None
    hints: tuple[Hint, ...] = ()


@dataclass
class _Form:
    """What the parser of a form has told and has not been seen to yet."""

    events: list[tuple[str, bytes]] = field(default_factory=list)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""


@asynccontextmanager
async def received_photos(
    request: Request,
    limits: Limits,
    quota: Quota,
    *,
    most: int | None = None,
    small_in_memory: bool = False,
    opens_archives: bool = False,
) -> AsyncIterator[list[Upload]]:
    """Yield the photographs of a request's body; those that are not taken out of the list are deleted after.

    A body that is no form is one photograph. In a form every field `photo` with a file is one; a file that is too
    large has a problem, and the others go on. A field `hints` holds a list of hints for the one photograph, or an
    object of file names with such lists.

    Args:
        request: whose body was not read yet.
        limits: of sizes and times.
        quota: of the files.
        most: photographs that are taken; `limits.photos` if None.
        small_in_memory: small photographs stay in memory, for a request that ends with them.
        opens_archives: the photographs of a ZIP come in its place, with a line for what is left out of it; there may be
            more than `most`.

    Raises:
        Problem: when the request as a whole cannot be used.
    """
    body = _Body(request, limits, quota, limits.photos if most is None else most, small_in_memory, opens_archives)
    try:
        try:
            async with asyncio.timeout(limits.upload_seconds):
                await body.read()
        except TimeoutError:
            raise Problem(
                Kind.UPLOAD_TOO_SLOW,
                f"It did not arrive within {limits.upload_seconds:g} s, or stood still for {limits.stall_seconds:g} s",
            ) from None
        yield body.uploads
    finally:
        for upload in body.uploads:
            upload.file.close()


def check_photo(data: bytes, max_pixels: int, page: int = 0) -> PhotoHeader:
    """Return what the header of a file says, of a page from 0, that is a photograph and nothing else.

    Raises:
        Problem: it is another kind of file, two kinds at once, too large, or broken.
    """
    try:
        header = read_header(data, page=page, max_pixels=max_pixels)
    except PhotoError as error:
        raise problem_from(error) from error
    if what := _other_kind(data):
        raise Problem(Kind.NO_PHOTO, f"The file is a photo and {what} at once, which photos never are")
    return header


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


@dataclass
class _Body:
    """A request's body, and the photographs that were read from it so far."""

    request: Request
    limits: Limits
    quota: Quota
    most: int
    small_in_memory: bool
    opens_archives: bool
    uploads: list[Upload] = field(default_factory=list)
    files: int = 0  # of the body; a ZIP gives several uploads

    async def read(self) -> None:
        content_type, parameters = parse_options_header(self.request.headers.get("content-type"))
        if content_type == b"multipart/form-data":
            await self._read_form(parameters.get(b"boundary", b""))
        else:
            await self._read_photo()

    async def _read_photo(self) -> None:
        upload = self._begin(unquote(self.request.headers.get("x-file-name", "")))
        most = self.limits.archive_bytes if self.opens_archives else self.limits.photo_bytes
        async for chunk in self._chunks(most):
            if not upload.file.size:
                self._check_announced(self._most_bytes(chunk))
            await self._add(upload, chunk)
            if upload.problem is not None:
                raise upload.problem
        if not upload.file.size:
            raise Problem(Kind.BROKEN_PHOTO, "The file is empty (0 bytes)")
        await self._end(upload)

    async def _read_form(self, boundary: bytes) -> None:
        form = _Form()
        current: Upload | None = None
        hints: bytearray | None = None
        try:
            parser = MultipartParser(boundary, _callbacks(form))
            # Every photograph may be of the largest size; some more for the form around them.
            async for chunk in self._chunks(self.most * (self.limits.photo_bytes + _LONGEST_PART_HEADER)):
                parser.write(chunk)
                for event, data in form.events:
                    match event:
                        case "file":
                            if self.files == self.most:
                                raise Problem(Kind.TOO_MANY_PHOTOS, f"At most {self.most} are taken")
                            current = self._begin(data.decode("utf-8", "replace"))
                        case "hints":
                            hints = bytearray() if hints is None else hints
                        case "data" if current is None and hints is not None:
                            hints += data
                            if len(hints) > _LONGEST_HINTS:
                                raise Problem(Kind.WRONG_REQUEST, f"Expected hints of at most {_LONGEST_HINTS:,} bytes")
                        case "data" if current is not None:
                            await self._add(current, data)
                        case "end" if current is not None:
                            await self._end(current)
                            current = None
                form.events.clear()
            parser.finalize()
        except FormParserError as error:
            raise Problem(Kind.BROKEN_UPLOAD, "The form (multipart/form-data) is not well-formed") from error
        if current is not None:
            raise Problem(Kind.BROKEN_UPLOAD, "The form (multipart/form-data) breaks off")
        if not self.uploads:
            raise Problem(Kind.WRONG_REQUEST, f"Expected a form with a file in its field {FIELD!r}, received none")
        if hints is not None:
            names = [upload.name for upload in self.uploads]
            for upload, found in zip(self.uploads, _hints_of(bytes(hints), names), strict=True):
                upload.hints = found

    def _begin(self, name: str) -> Upload:
        self.files += 1
        return self._new_upload(name)

    def _new_upload(self, name: str) -> Upload:
        self.uploads.append(Upload(safe_name(name), AnonymousFile(self.quota)))
        return self.uploads[-1]

    async def _add(self, upload: Upload, data: bytes) -> None:
        if upload.problem is not None:
            return
        most = self.limits.photo_bytes
        if upload.file.size + len(data) > most:
            most = self._most_bytes(upload.file.read_blocking(0, 4) or data)
        if upload.file.size + len(data) > most:
            upload.problem = _too_large(most)
            upload.file.close()
            return
        await upload.file.append(data)

    def _most_bytes(self, beginning: bytes) -> int:
        is_archive = self.opens_archives and is_zip(beginning)
        return self.limits.archive_bytes if is_archive else self.limits.photo_bytes

    async def _end(self, upload: Upload) -> None:
        if upload.problem is not None:
            return
        await upload.file.finish(small_in_memory=self.small_in_memory)
        if self.opens_archives and is_zip(upload.file.read_blocking(0, 4)):
            await self._unpack(upload)

    async def _unpack(self, archive: Upload) -> None:
        """Put the photographs of a ZIP in its place."""
        self.uploads.remove(archive)
        first, unpacked = len(self.uploads), 0
        steps = walk_zip(archive.file, archive.name, self.limits.photo_bytes)
        try:
            while (step := await anyio.to_thread.run_sync(next, steps, None)) is not None:
                if isinstance(step, Member):
                    if len(self.uploads) - first == (most := self.limits.archive_photos):
                        raise Problem(Kind.TOO_MANY_PHOTOS, f"At most {most} files of a ZIP are taken")
                    upload = self._new_upload(step.name)
                    upload.problem = step.problem
                elif isinstance(step, Problem):
                    upload.problem = step
                    upload.file.close()
                else:
                    unpacked += len(step)
                    if unpacked > self.limits.archive_bytes:
                        raise _too_large(self.limits.archive_bytes)
                    await upload.file.append(step)
            if len(self.uploads) == first:
                self._new_upload(archive.name).problem = Problem(Kind.LEFT_OUT, "there is no photograph in it")
            for upload in self.uploads[first:]:
                if upload.problem is None:
                    await upload.file.finish(small_in_memory=self.small_in_memory)
        finally:
            archive.file.close()

    async def _chunks(self, most: int) -> AsyncIterator[bytes]:
        """Yield the body; what comes late or after `most` bytes ends it."""
        self._check_announced(most)
        size = 0
        stream = self.request.stream()
        while True:
            try:
                async with asyncio.timeout(self.limits.stall_seconds):
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

    def _check_announced(self, most: int) -> None:
        announced = self.request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > most:
            raise _too_large(most)


def _hints_of(data: bytes, names: list[str]) -> list[tuple[Hint, ...]]:
    """Return the hints of each photograph of a form; raises Problem where they are none, or of no photograph."""
    try:
        if data.lstrip().startswith(b"["):
            if len(names) != 1:
                raise TintypeError(
                    f"hints: a list is for one photo, received {len(names)}; name each file in an object"
                )
            return [hints_from_json(data, "hints")]
        by_photo = HintsByPhoto.from_json(data, "hints")
    except TintypeError as error:
        raise Problem(Kind.WRONG_REQUEST, str(error)) from error
    if unused := by_photo.unused_names(names):
        raise Problem(Kind.WRONG_REQUEST, f"hints: {unused[0]} is none of the photos sent")
    return [by_photo.of(name) for name in names]


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
        if name == HINTS_FIELD and b"filename" not in options:
            form.events.append(("hints", b""))
            return
        if name != FIELD or b"filename" not in options:
            raise Problem(
                Kind.WRONG_REQUEST,
                f"Expected files in fields named {FIELD!r} alone, received the field {name[:40]!r}; "
                f"and {HINTS_FIELD!r} as text; variants, strength and format belong into the address (?strength=1.2)",
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
