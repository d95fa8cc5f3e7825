"""Which versions of a model lie under a serving base path, read the way TensorFlow Serving reads it."""

from typing import NamedTuple

import tensorflow as tf

SAVED_MODEL_FILE = "saved_model.pb"


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


def list_versions(base_path: str) -> list[Version]:
    """List the versions under `base_path`, oldest first; none when the path does not exist.

    Anything whose name is not a plain non-negative integer is no version: temporary folders, lock files.

    Args:
        base_path: a local path, or any address TensorFlow's file systems know (`gs://...`).
    """
    if not tf.io.gfile.isdir(base_path):
        return []
    versions = []
    for name in tf.io.gfile.listdir(base_path):
        name = name.rstrip("/")  # object stores list folders with a slash
        if not (name.isascii() and name.isdigit()):
            continue
        path = f"{base_path.rstrip('/')}/{name}"
        versions.append(Version(int(name), path, tf.io.gfile.exists(f"{path}/{SAVED_MODEL_FILE}")))
    return sorted(versions)


def newest_version(base_path: str) -> Version | None:
    """Return the newest complete version under `base_path`, the one a server serves; None when there is none."""
    complete = [version for version in list_versions(base_path) if version.complete]
    return complete[-1] if complete else None
