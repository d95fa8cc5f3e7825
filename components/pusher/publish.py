"""Puts a SavedModel under a serving base path as its newest version, so that no server ever sees half of it.

On a local or mounted disk the model is copied into a temporary folder, which servers ignore because its name is no
integer, flushed to the disk, and renamed: a version exists whole or not at all, whatever kills the push. An object
store knows no rename of folders; there `saved_model.pb`, without which a folder is no model, is written last.
"""

import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from photo.errors import TintypeError
from photo.locks import locked
from serving.model.version_folders import SAVED_MODEL_FILE, Version, list_versions
from serving.model.version_record import KEPT_RECORDS, RECORD_FILE, read_record

TEMPORARY_PREFIX = ".tmp-"
LOCK_FILE = ".push.lock"


class Published(NamedTuple):
    """What a push left behind: the version's number, its folder, and the numbers of the versions it retired."""

    version: int
    path: str
    removed: list[int]


def publish(
    model_dir: str,
    base_path: str,
    *,
    keep_versions: int | None,
    version: int | None = None,
    record: Mapping[str, Any] | None = None,
) -> Published:
    """Copy the SavedModel in `model_dir` under `base_path` as its newest version and retire the oldest ones.

    The version is the time in seconds, or one more than the newest version there if that is not larger. The new
    version and the one that was newest before, which servers serve until they have loaded the new one, always stay.

    Args:
        model_dir: a SavedModel, local or on any file system TensorFlow knows.
        base_path: the serving base path; a name with a scheme (`gs://bucket/model`) is taken for an object store.
        keep_versions: how many complete versions stay, the new one included; None for all of them.
        version: its number, where it must be a certain one.
        record: where the model comes from. The version gets it as `assets.extra/tintype.json`, over what such a file of
            `model_dir` says, with its number, its date and the version that was newest before; a copy under the base
            path outlives the version. None copies the model as it is.

    Raises:
        TintypeError: `model_dir` holds no SavedModel, `base_path` cannot be written, or it has the version already.
    """
    if keep_versions is not None and keep_versions < 1:
        raise ValueError(f"keep_versions must be at least 1, got {keep_versions}")
    base_path = base_path.removeprefix("file://")
    try:
        if not tf.io.gfile.exists(f"{model_dir}/{SAVED_MODEL_FILE}"):
            raise TintypeError(f"nothing to push: {model_dir} holds no {SAVED_MODEL_FILE}")
        if "://" in base_path:
            return _publish_to_object_store(model_dir, base_path, keep_versions, version, record)
        return _publish_to_disk(model_dir, base_path, keep_versions, version, record)
    except (OSError, tf.errors.OpError) as error:
        raise TintypeError(f"cannot push {model_dir} to {base_path}: {error}") from error


def _write_record(model_dir: str, record: Mapping[str, Any], folder: str, number: int, before: list[Version]) -> None:
    """Write into the folder of version `number` where it comes from; `before` were there when it came."""
    complete = [version.number for version in before if version.complete]
    pushed = {
        "version": number,
        "parent_version": complete[-1] if complete else None,
        "pushed_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # Twice: first in the order of the fields, and last, for nobody else knows them.
    whole = {**pushed, **read_record(f"{model_dir}/{RECORD_FILE}"), **record, **pushed}
    tf.io.gfile.makedirs(f"{folder}/assets.extra")
    place = f"{folder}/{RECORD_FILE}"
    with tf.io.gfile.GFile(place, "w") as file:
        file.write(json.dumps(whole, indent=2))
    if "://" not in place:
        _flush(place)


def _keep_record(base_path: str, folder: str, number: int) -> None:
    """Copy a version's record to where it outlives the version, which is served by now."""
    place = f"{folder}/{RECORD_FILE}"
    try:
        if tf.io.gfile.exists(place):
            tf.io.gfile.makedirs(f"{base_path}/{KEPT_RECORDS}")
            tf.io.gfile.copy(place, f"{base_path}/{KEPT_RECORDS}/{number}.json", overwrite=True)
    except (OSError, tf.errors.OpError) as error:
        logging.warning("The record of version %d will go with it: %s", number, error)


def _number_of_new(versions: list[Version], wanted: int | None, base_path: str) -> int:
    if wanted is not None:
        if wanted in [version.number for version in versions if version.complete or "://" not in base_path]:
            raise TintypeError(f"cannot push to {base_path}: it has a version {wanted} already")
        return wanted
    newest = versions[-1].number if versions else 0
    return max(int(time.time()), newest + 1)


def _retired(before: list[Version], keep_versions: int | None) -> list[Version]:
    """Which of the versions there were before a push go after it; `before` is oldest first."""
    if keep_versions is None:
        return []
    complete = [version for version in before if version.complete]
    # The newest of them is still being served, even where only one version is to stay.
    stay = max(keep_versions - 1, 1)
    return complete[:-stay]


def _publish_to_disk(
    model_dir: str, base_path: str, keep_versions: int | None, version: int | None, record: Mapping[str, Any] | None
) -> Published:
    os.makedirs(base_path, exist_ok=True)
    with locked(Path(base_path) / LOCK_FILE):
        # Whoever holds the lock is the only push, so every temporary folder here belongs to one that died.
        for name in os.listdir(base_path):
            if name.startswith(TEMPORARY_PREFIX):
                shutil.rmtree(os.path.join(base_path, name), ignore_errors=True)
        before = list_versions(base_path)
        number = _number_of_new(before, version, base_path)
        path = os.path.join(base_path, str(number))
        temporary = _temporary(base_path, number)
        _copy_and_flush(model_dir, temporary)
        if record is not None:
            _write_record(model_dir, record, temporary, number, before)
        os.rename(temporary, path)
        _flush(base_path)
        _keep_record(base_path, path, number)
        removed = []
        for old in _retired(before, keep_versions):
            try:
                # Renamed first: a removal that is interrupted must not leave half a version either.
                leaving = _temporary(base_path, old.number)
                os.rename(old.path, leaving)
                removed.append(old.number)
                shutil.rmtree(leaving)
            except OSError as error:
                logging.warning("The old version %s could not be removed: %s", old.path, error)
        return Published(number, path, removed)


def _temporary(base_path: str, number: int) -> str:
    return os.path.join(base_path, f"{TEMPORARY_PREFIX}{number}-{secrets.token_hex(4)}")


def _copy_and_flush(source: str, destination: str) -> None:
    """Copy a folder to the local disk; every byte has reached the disk when this returns."""
    # Made with plain modes: a server under another account must be able to read what is pushed.
    for folder, _, files in tf.io.gfile.walk(source):
        target = os.path.normpath(os.path.join(destination, os.path.relpath(folder, source)))
        os.mkdir(target)
        for name in files:
            tf.io.gfile.copy(os.path.join(folder, name), os.path.join(target, name))
            _flush(os.path.join(target, name))
    for folder, _, _ in os.walk(destination):
        _flush(folder)


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish_to_object_store(
    model_dir: str, base_path: str, keep_versions: int | None, version: int | None, record: Mapping[str, Any] | None
) -> Published:
    base_path = base_path.rstrip("/")
    before = list_versions(base_path)
    number = _number_of_new(before, version, base_path)
    path = f"{base_path}/{number}"
    tf.io.gfile.makedirs(path)
    for folder, _, files in tf.io.gfile.walk(model_dir):
        relative = os.path.relpath(folder, model_dir)
        target = path if relative == "." else f"{path}/{relative}"
        if relative != ".":
            tf.io.gfile.makedirs(target)
        for name in files:
            if (relative, name) != (".", SAVED_MODEL_FILE):
                tf.io.gfile.copy(f"{folder}/{name}", f"{target}/{name}")
    if record is not None:
        _write_record(model_dir, record, path, number, before)
    tf.io.gfile.copy(f"{model_dir}/{SAVED_MODEL_FILE}", f"{path}/{SAVED_MODEL_FILE}")
    _keep_record(base_path, path, number)

    removed = []
    for old in _retired(before, keep_versions) + _abandoned(before):
        try:
            # First what makes it a model: a server must not find it while the rest goes.
            if old.complete:
                tf.io.gfile.remove(f"{old.path}/{SAVED_MODEL_FILE}")
            tf.io.gfile.rmtree(old.path)
            removed.append(old.number)
        except (OSError, tf.errors.OpError) as error:
            logging.warning("The old version %s could not be removed: %s", old.path, error)
    return Published(number, path, removed)


def _abandoned(before: list[Version]) -> list[Version]:
    """The folders of pushes that died: without `saved_model.pb`, and older than a push that ended since."""
    newest = max((version.number for version in before if version.complete), default=0)
    return [version for version in before if not version.complete and version.number < newest]
