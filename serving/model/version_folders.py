"""Which versions of a model lie under a serving base path, read the way TensorFlow Serving reads it."""

import os
from collections.abc import Iterable
from errno import ENOENT
from pathlib import Path
from typing import NamedTuple

SAVED_MODEL_FILE = "saved_model.pb"
SAVED_MODEL_TEXT_FILE = "saved_model.pbtxt"  # the same in protobuf's text format

_SERVED_FILES = (SAVED_MODEL_FILE, SAVED_MODEL_TEXT_FILE)
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


def versions_under(base_path: str) -> dict[int, str]:
    """Return the folders of the complete versions under a base path, by number: those that a server may load.

    Args:
        base_path: a folder of this machine, or an address that TensorFlow's file systems know (`gs://...`), which
            imports TensorFlow.

    Raises:
        OSError, tf.errors.OpError: the base path is not there or cannot be listed.
    """
    if "://" not in base_path:
        local = Path(base_path)
        names = [path.name for path in local.iterdir() if any((path / file).is_file() for file in _SERVED_FILES)]
        return {number: str(local / name) for number, name in numbered(names).items()}
    import tensorflow as tf

    base_path = base_path.rstrip("/")
    if not tf.io.gfile.isdir(base_path):  # an object store lists nothing where nothing is
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), base_path)
    found = numbered(name.rstrip("/") for name in tf.io.gfile.listdir(base_path))
    return {
        number: f"{base_path}/{name}"
        for number, name in found.items()
        if any(tf.io.gfile.exists(f"{base_path}/{name}/{file}") for file in _SERVED_FILES)
    }


def without_file_scheme(base_path: str) -> str:
    """Return a base path that may be a `file://` address as a path; what lies elsewhere stays as it is."""
    return base_path.removeprefix("file://") if base_path.startswith("file:///") else base_path


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
