"""Where a served version comes from: the record `assets.extra/tintype.json`, which every pushed version carries."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photo.errors import TintypeError
from serving.model.version_folders import numbered, versions_under, without_file_scheme

RECORD_FILE = "assets.extra/tintype.json"
# Under the base path: records of all versions that were pushed. Servers pass it over, for its name is no number.
KEPT_RECORDS = ".records"

_LARGEST_RECORD = 1 << 20  # bytes


@dataclass(frozen=True)
class KnownVersion:
    """A version that is or was under a serving base path.

    Attributes:
        number: of the version.
        present: whether it is there still; of one that was removed only the record is left.
        record: where it comes from; empty where nothing says so.
        error: why its record could not be read; "" where it could, or there is none.
    """

    number: int
    present: bool
    record: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def fingerprint(self) -> str:
        """Of the trained model, as results carry it; "" where the record does not say."""
        return str(self.record.get("fingerprint") or "")

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        said = {"error": self.error} if self.error else {}
        return {"version": self.number, "present": self.present, **said, "record": dict(self.record)}


def known_versions(base_path: str) -> list[KnownVersion]:
    """Return the versions under a base path and those that were there, the oldest first.

    Args:
        base_path: a folder of this machine, or an address that TensorFlow's file systems know (`gs://...`), which
            imports TensorFlow.

    Raises:
        TintypeError: the base path is not there or cannot be listed.
    """
    base_path = without_file_scheme(base_path).rstrip("/") or "/"
    kept = f"{base_path}/{KEPT_RECORDS}"
    try:
        folders = versions_under(base_path)
        names = [name.removesuffix(".json") for name in _names_in(kept) if name.endswith(".json")]
    except Exception as error:  # OSError, or what TensorFlow's file systems raise
        raise TintypeError(f"cannot list {base_path}: {getattr(error, 'strerror', None) or error}") from error
    removed = {number: name for number, name in numbered(names).items() if number not in folders}
    places = {number: f"{folder}/{RECORD_FILE}" for number, folder in folders.items()}
    places |= {number: f"{kept}/{name}.json" for number, name in removed.items()}
    return [_known(number, number in folders, places[number]) for number in sorted(places)]


def find_versions(versions: list[KnownVersion], wanted: str) -> list[KnownVersion]:
    """Return the versions that a number or a model's fingerprint stands for; several may hold one model.

    Raises:
        TintypeError: none does.
    """
    found = [version for version in versions if wanted in (str(version.number), version.fingerprint)]
    if not found:
        numbers = ", ".join(str(version.number) for version in versions) or "none"
        raise TintypeError(f"no version or model {wanted!r} is known here (versions: {numbers})")
    return found


def read_record(place: str) -> dict[str, Any]:
    """Read a record's file; empty where there is none.

    Raises:
        TintypeError: it cannot be read or is no record.
    """
    try:
        data = _read(place)
        record = {} if data is None else json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TintypeError(f"{place} is no JSON") from error
    except Exception as error:  # OSError, or what TensorFlow's file systems raise
        raise TintypeError(f"cannot read {place}: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(record, dict):
        raise TintypeError(f"{place} is no record: it holds no JSON object")
    return record


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the fields in which two records differ, as `data.splits.train`, with both values; None where one is not.

    Numbers, versions and dates of the push itself are left out: they always differ.
    """
    left, right = dict(flattened(one)), dict(flattened(other))
    names = [*left, *(name for name in right if name not in left)]
    return [
        (name, left.get(name), right.get(name))
        for name in names
        if name not in ("version", "pushed_at") and left.get(name) != right.get(name)
    ]


def flattened(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a record with the names that lead to it, dots between."""
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _known(number: int, present: bool, place: str) -> KnownVersion:
    try:
        return KnownVersion(number, present, read_record(place))
    except TintypeError as error:
        return KnownVersion(number, present, error=str(error))


def _read(place: str) -> bytes | None:
    """Return a file's bytes; None where it is not there."""
    if "://" in place:
        import tensorflow as tf

        if not tf.io.gfile.exists(place):
            return None
        with tf.io.gfile.GFile(place, "rb") as remote:
            data = remote.read(_LARGEST_RECORD + 1)
    else:
        path = Path(place)
        if not path.exists():
            return None
        if not path.is_file():
            raise OSError("it is no file")
        with path.open("rb") as file:
            data = file.read(_LARGEST_RECORD + 1)
    if len(data) > _LARGEST_RECORD:
        raise OSError(f"it is larger than {_LARGEST_RECORD} bytes")
    return bytes(data)


def _names_in(folder: str) -> list[str]:
    if "://" not in folder:
        path = Path(folder)
        return [file.name for file in path.iterdir()] if path.is_dir() else []
    import tensorflow as tf

    return list(tf.io.gfile.listdir(folder)) if tf.io.gfile.isdir(folder) else []
