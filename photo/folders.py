"""Walks a folder of this machine: which files may be photographs, how they are named, whether they changed."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from photo.errors import DataError

_SYSTEM_FILES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})

_ILLEGAL_ON_WINDOWS = frozenset('<>:"/\\|?*\x7f')
_DEVICES_OF_WINDOWS = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³")]
)
_SUFFIXES_OF_OTHER_KINDS = frozenset(
    [".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".gif", ".dng", ".mpo", ".apng", ".dib"]
)
_LONGEST_STEM_BYTES = 200  # of the 255 that file systems take


class ListedFile(NamedTuple):
    """A file as its file system lists it; `changed` is the time of its last change in that file system's own unit."""

    path: str
    size: int
    changed: float

    @property
    def stamp(self) -> str:
        """Size and time of change in one; "" where the time is not known."""
        return f"{self.size}-{self.changed}" if self.changed else ""


def list_folder(location: str, *, unlistable: Callable[[str, str], None] | None = None) -> Iterator[ListedFile]:
    """Yield every file below a folder in the order of names, or the one file that `location` is.

    Files and folders whose name begins with a dot, and those that systems leave beside photographs, are passed over.
    Linked folders are followed, each folder once.

    Args:
        location: a folder or a file.
        unlistable: is told the path of a folder below `location` that cannot be listed, and why; the others go on.

    Raises:
        DataError: `location` cannot be listed; without `unlistable` also when a folder below it cannot.
    """
    if os.path.isfile(location):
        yield _listed_file(location)
        return

    def refuse(error: OSError) -> None:
        if unlistable is None or error.filename == location:
            raise DataError(f"cannot list {error.filename}: {error.strerror}") from error
        unlistable(error.filename, error.strerror or str(error))

    seen = set()
    for folder, subfolders, files in os.walk(location, onerror=refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link back into the tree
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not is_hidden(name))
        for name in sorted(files):
            path = os.path.join(folder, name)
            if not is_hidden(name) and not _is_special(path):
                yield _listed_file(path)


def fingerprint_of(files: Iterable[ListedFile], location: str) -> str:
    """Return a line that changes when one of the files below `location` is added, removed, renamed or changed."""
    digest = hashlib.sha256()
    count = size = 0
    for file in files:
        digest.update(f"{relative_name(file.path, location)}\0{file.size}\0{file.changed}\n".encode())
        count += 1
        size += file.size
    return f"num_files:{count},total_bytes:{size},sha256:{digest.hexdigest()}"


def relative_name(path: str, location: str) -> str:
    """Return `path` below the folder `location`, as printable text with forward slashes; its last part for a file."""
    base = location.rstrip("/" + os.sep)
    name = path[len(base) :] if path.startswith(base + "/") or path.startswith(base + os.sep) else ""
    return printable((name or path.rsplit("/", 1)[-1]).replace(os.sep, "/").lstrip("/"))


def is_hidden(name: str) -> bool:
    """Return whether a part of this path begins with a dot, or is what systems leave beside photographs."""
    parts = name.split("/")
    return any((part.startswith(".") and part not in (".", "..")) or part in _SYSTEM_FILES for part in parts)


def printable(name: str) -> str:
    """Return a name, which on disk need not be text, as text that any terminal and any JSON file takes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def name_of_kind(name: str, suffix: str) -> str:
    """Return the name of a photograph with the suffix of what is written of it.

    That takes the place of a suffix that the name has for another kind of photograph, and follows anything else:
    "IMG_0001.HEIC" becomes "IMG_0001.jpg", and "harbour.1971" "harbour.1971.jpg".
    """
    stem, own = os.path.splitext(name)
    return f"{stem if own.lower() in _SUFFIXES_OF_OTHER_KINDS else name}{suffix}"


def is_named_as_other_kind(name: str) -> bool:
    """Return whether a name is one of a picture or document of a kind that nothing is written in."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in _SUFFIXES_OF_OTHER_KINDS or suffix in (".pdf", ".psd", ".svg", ".ico", ".jxl", ".zip")


def portable_name(stem: str) -> str:
    """Return the beginning of a file's name that Windows, macOS and Linux take; "photo" where nothing is left of it."""
    text = stem.encode("utf-8", "replace").decode()
    legal = "".join("_" if char in _ILLEGAL_ON_WINDOWS or ord(char) < 32 else char for char in text)
    legal = legal.encode()[:_LONGEST_STEM_BYTES].decode("utf-8", "ignore").strip(" .")
    device, dot, rest = legal.partition(".")
    return f"{device}_{dot}{rest}" if device.strip().upper() in _DEVICES_OF_WINDOWS else legal or "photo"


def _listed_file(path: str) -> ListedFile:
    try:
        status = os.stat(path)
    except OSError:  # a link to nowhere: listed, so that the report names it
        return ListedFile(path, 0, 0)
    return ListedFile(path, status.st_size, status.st_mtime_ns)


def _is_special(path: str) -> bool:
    """Return whether this is a pipe, socket or device: opening one may block for ever."""
    return os.path.exists(path) and not os.path.isfile(path)
