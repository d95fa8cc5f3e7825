"""Walks through a ZIP that was sent: the photographs in it, piece by piece, and what is left out of it."""

from collections.abc import Iterator
from typing import NamedTuple

from photo.archives import FileEntry, FileReader, read_blocks
from photo.errors import PhotoError
from photo.finding import find_photographs
from photo.folders import ListedFile
from serving.web.anonymous_file import AnonymousFile
from serving.web.problems import Kind, Problem, problem_from

_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")  # of a ZIP with files, and of an empty one


class Member(NamedTuple):
    """A photograph of an archive begins, or a line about what is left out of it; the pieces of a photograph follow.

    Attributes:
        name: as in the archive.
        problem: why it is left out.
    """

    name: str
    problem: Problem | None = None


def is_zip(beginning: bytes) -> bool:
    """Return whether a file that begins so is a ZIP."""
    return beginning.startswith(_BEGINNINGS)


def walk_zip(archive: AnonymousFile, name: str, most_bytes: int) -> Iterator[Member | bytes | Problem]:
    """Yield, from a thread, a `Member` for each photograph of a ZIP, then its bytes in pieces, or what is left out.

    Nothing is believed of what the archive says of sizes. A problem between the pieces says why a photograph cannot be
    used; the others go on.

    Args:
        archive: its bytes.
        name: it is called so where something is said of all of it.
        most_bytes: of a photograph; a larger one is not read to its end.
    """
    location = name if name.lower().endswith(".zip") else f"{name}.zip"
    with FileReader(lambda _: archive.open()) as reader:
        for found in find_photographs([ListedFile(location, archive.size, 0.0)], location, reader):
            if isinstance(found, FileEntry):
                yield Member(found.name)
                yield from _pieces(reader, found, most_bytes)
            else:
                yield Member(found.name, Problem(Kind.LEFT_OUT, found.detail))


def _pieces(reader: FileReader, entry: FileEntry, most_bytes: int) -> Iterator[bytes | Problem]:
    size = 0
    try:
        with reader.open(entry) as stream:
            for piece in read_blocks(stream):
                size += len(piece)
                if size > most_bytes:
                    raise PhotoError("too_many_bytes", f"At most {most_bytes / 2**20:.3g} MB are taken")
                yield piece
            if not size:
                raise PhotoError("empty", "the file is empty (0 bytes)")
    except Exception as error:  # a broken member may raise whatever zlib and its like have
        yield problem_from(error)
