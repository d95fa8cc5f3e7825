"""Writes files so that no reader ever sees half of one."""

import contextlib
import os
import secrets
from pathlib import Path

from photo.errors import TintypeError


def write_whole(path: Path, data: bytes) -> None:
    """Write under a temporary name beside `path` and rename; missing folders are made.

    Raises:
        TintypeError: the file cannot be written; nothing is left of it, and what stood there before stays.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise TintypeError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
