"""Which versions of a model lie under a serving base path, read the way TensorFlow Serving reads it."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SAVED_MODEL_FILE = "saved_model.pb"

_LARGEST_VERSION = 2**63 - 1  # TensorFlow Serving's version is an int64


class Version(NamedTuple):
    """One integer-named folder under a serving base path.

    Attributes:
        number: the version; TensorFlow Serving serves the largest.
        path: the folder.
        complete: whether it holds `saved_model.pb`, which every push writes last.
    """

    number: int
    path: str
    complete: bool


def numbered(names: Iterable[str]) -> dict[int, str]:
    """Return those of the names under a base path that are versions, by number, the lowest first.

    Anything whose name is not purely decimal digits, or whose number does not fit an int64, is no version: temporary
    folders, lock files. Of several names with one number (`7`, `007`) the last in the alphabet stands.
    """
    found = {int(name): name for name in sorted(names) if name.isascii() and name.isdigit()}
    return {number: found[number] for number in sorted(found) if number <= _LARGEST_VERSION}


def versions_under(base_path: Path) -> dict[int, Path]:
    """Return the complete versions under a base path of this machine, by number.

    Raises:
        OSError: the base path cannot be listed.
    """
    folders = [path.name for path in base_path.iterdir() if (path / SAVED_MODEL_FILE).is_file()]
    return {number: base_path / name for number, name in numbered(folders).items()}


def list_versions(base_path: str) -> list[Version]:
    """List the versions under `base_path`, oldest first; none when the path does not exist. Imports TensorFlow.

    Args:
        base_path: a local path, or any address TensorFlow's file systems know (`gs://...`).
    """
    import tensorflow as tf

    if not tf.io.gfile.isdir(base_path):
        return []
    names = numbered(name.rstrip("/") for name in tf.io.gfile.listdir(base_path))  # object stores add a slash
    paths = {number: f"{base_path.rstrip('/')}/{name}" for number, name in names.items()}
    return [Version(number, path, tf.io.gfile.exists(f"{path}/{SAVED_MODEL_FILE}")) for number, path in paths.items()]


def newest_version(base_path: str) -> Version | None:
    """Return the newest complete version under `base_path`, the one a server serves; None when there is none."""
    complete = [version for version in list_versions(base_path) if version.complete]
    return complete[-1] if complete else None
