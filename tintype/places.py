"""Says of places, before a model is loaded, that nothing is there or that nothing can be written there."""

import os
from pathlib import Path

from photo.errors import TintypeError


def check_is_there(location: str, what: str) -> None:
    """Raise TintypeError where a file or folder of this machine is not there; `what` it should be, as "the model"."""
    if "://" not in location and not os.path.exists(location):
        raise TintypeError(f"{what} {location} is not there: no such file or folder")


def check_may_write_below(folder: Path) -> None:
    """Raise TintypeError for a folder, which need not be there yet, that nothing can be written into."""
    found = folder
    while not exists(found):
        found = found.parent
    if not found.is_dir():
        raise TintypeError(f"nothing can be written into {folder}: {found} is no folder")
    if not os.access(found, os.W_OK | os.X_OK):
        raise TintypeError(f"nothing can be written into {folder}: {found} may not be changed")


def exists(path: Path) -> bool:
    """Return whether something is there; raises TintypeError where nothing can be."""
    try:
        return path.exists()
    except OSError as error:  # a name that is too long, a folder that nobody may look into
        raise TintypeError(f"{path} cannot be written: {error.strerror}") from error
