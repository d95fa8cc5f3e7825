"""Reads photographs in a process of its own, so that a crash is seen and memory that nobody filled shows.

The C library fills what it hands out with a byte that is chosen for the process: two processes with two bytes read the
same pixels unless one of them comes from memory that nothing was written to.
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 1 << 20
LONGEST_SECONDS = 120.0

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Answer:
    """What became of a file.

    Attributes:
        pixels: uint8 or uint16 [H, W, 3]; None for an error.
        pages: of the file, where it was read.
        more: pictures that were left out.
        notes: on it.
        reason: of the PhotoError; "" for none.
        bug: the traceback of another error, or how the process ended; "" for none.
    """

    pixels: NDArray[Any] | None = None
    pages: int = 0
    more: int = 0
    notes: tuple[str, ...] = ()
    reason: str = ""
    bug: str = ""


class Reader:
    """A process that reads one file after the other.

    Args:
        fill: the byte, 1..255, that fresh memory is filled with, where the C library is glibc.
    """

    def __init__(self, fill: int):
        # The tunables are glibc's; without its caches for small pieces every piece is filled.
        tunables = f"glibc.malloc.perturb={fill}:glibc.malloc.tcache_count=0"
        self._environment = os.environ | {"GLIBC_TUNABLES": tunables, "PYTHONMALLOC": "malloc"}
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, data: bytes) -> None:
        """Begin to read a file."""
        if self._process is None:
            command = [sys.executable, "-m", "benchmarks.fuzz_reader"]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the one that asks
            )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(_LENGTH.pack(len(data)) + data)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what ended it is told by `answer`

    def answer(self) -> Answer:
        """Wait for what became of it; a process that takes too long is ended."""
        assert self._process is not None
        ending = threading.Timer(LONGEST_SECONDS, self._process.kill)
        ending.start()
        try:
            head = _read(self._process.stdout)
        finally:
            ending.cancel()
        if head is None:
            code = self._process.wait()
            self._process = None
            return Answer(bug=f"the process ended with {code}")
        document = json.loads(head)
        pixels = None
        if shape := document.pop("shape"):
            body = _read(self._process.stdout) or b""
            pixels = np.frombuffer(body, document["dtype"]).reshape(shape)
        document.pop("dtype")
        return Answer(pixels, **{**document, "notes": tuple(document["notes"])})

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._process = None


def digest(answer: Answer) -> str:
    """Return what two readers must agree on."""
    pixels = b"" if answer.pixels is None else answer.pixels.tobytes()
    return hashlib.sha256(pixels).hexdigest() + f"{answer.pages} {answer.more} {answer.notes} {answer.reason}"


def _read(stream: IO[bytes] | None) -> bytes | None:
    assert stream is not None
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    return stream.read(_LENGTH.unpack(head)[0])


def _outcome(data: bytes) -> tuple[dict[str, Any], bytes]:
    from photo.decoding import decode_photo, read_header
    from photo.errors import PhotoError

    document: dict[str, Any] = {"shape": None, "dtype": "", "pages": 0, "more": 0, "notes": [], "reason": "", "bug": ""}
    try:
        header = read_header(data, max_pixels=MAX_PIXELS)
        photo = decode_photo(data, max_pixels=MAX_PIXELS)
        for page in range(1, min(photo.pages, 4)):
            decode_photo(data, page=page, max_pixels=MAX_PIXELS)
        document |= {
            "shape": photo.color.shape,
            "dtype": photo.color.dtype.str,
            "pages": photo.pages,
            "more": photo.pictures_left_out,
            "notes": photo.notes,
            "bug": "" if header.pages == photo.pages else "the header has another number of pages",
        }
        return document, np.ascontiguousarray(photo.color).tobytes()
    except PhotoError as error:
        return document | {"reason": error.reason}, b""
    except Exception:
        return document | {"bug": traceback.format_exc()}, b""


def main() -> None:
    """Answer files on standard input until it ends."""
    warnings.simplefilter("ignore")
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between
    while (data := _read(source)) is not None:
        document, pixels = _outcome(data)
        head = json.dumps(document).encode()
        target.write(_LENGTH.pack(len(head)) + head)
        if document["shape"]:
            target.write(_LENGTH.pack(len(pixels)) + pixels)
        target.flush()


if __name__ == "__main__":
    main()
