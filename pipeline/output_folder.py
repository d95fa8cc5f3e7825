"""The folder that a run writes into: made, held for one run at a time, and never taken for a pattern."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from photo.errors import TintypeError
from photo.locks import locked
from serving.model.shipped_generator import cache_folder

_LOCK = ".lock"

# What TensorFlow, TFX and Beam read in a path as a pattern, with no way to say that it is meant as it stands.
_WILDCARD = re.compile(r"[*?\[\]{}\\]")
_HAS_WILDCARDS = "holds one of * ? [ ] { } \\, which TFX takes for a pattern; choose another folder"


@contextlib.contextmanager
def output_folder(out: Path) -> Iterator[Path]:
    """Make a run's folder and hold it for this process alone while the block runs.

    Yields:
        An absolute path of the folder without wildcards. Where its own has some, as in "runs [1971]", it is a link that
        stays in the user's cache, always under the same name, because metadata tell where artifacts lie.

    Raises:
        TintypeError: the folder cannot be written, or another run is at work in it; the message names its process.
    """
    with contextlib.ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(out / _LOCK, busy=f"another run is at work in {out}; wait, or choose another"))
        except OSError as error:
            raise TintypeError(f"the output folder {out} cannot be written: {error.strerror}") from None
        yield without_wildcards(out)


def check_shared_folder(folder: str) -> None:
    """Raise TintypeError for a folder whose path holds wildcards and that several machines share: no link is on all."""
    if _WILDCARD.search(folder):
        raise TintypeError(f"{folder} {_HAS_WILDCARDS}")


def without_wildcards(folder: Path) -> Path:
    """Return an absolute path of a folder in which nothing is a pattern: its own, or that of a link to it.

    Raises:
        TintypeError: there is no place for a link.
    """
    folder = folder.resolve()
    wildcard = _WILDCARD.search(str(folder))
    if wildcard is None:
        return folder
    cache = cache_folder()
    if cache is None or _WILDCARD.search(str(cache)):
        raise TintypeError(f"{folder} {_HAS_WILDCARDS}")
    link = cache / f"folder-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    with contextlib.suppress(FileExistsError):
        link.symlink_to(folder)
    if link.resolve() != folder:
        raise TintypeError(f"{link} should lead to {folder}; remove it")
    return link
