"""The records that a run leaves beside its photographs, one line for each that it coloured; the next run reads them."""

import contextlib
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import IO, Any

import pyarrow
import pyarrow.parquet
from apache_beam.io.filesystems import FileSystems

from photo.folders import ListedFile
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import is_local, literal, look_at, open_file
from serving.batch.outcomes import Outcome
from serving.batch.output_settings import OWN_FOLDER
from serving.batch.outputs import join, write_own_file

# An object cannot be added to: there, a worker writes its records so often, and what a kill leaves without one is
# coloured again.
_SECONDS_BETWEEN_FILES = 5.0
_RECORDS_IN_A_FILE = 500

# So many small files, or with so many bytes together, become one when they are read.
_FILES_MERGED = 64
_MERGED_BYTES = 32 << 20

_SUFFIX, _MERGED_SUFFIX = ".jsonl", ".parquet"
_ARROW_TYPES = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
_MERGED_SCHEMA = pyarrow.schema([(name, _ARROW_TYPES[kind]) for name, kind in Outcome.__annotations__.items()])


def read_records(output: str) -> Iterator[Outcome]:
    """Yield every record that runs into this output have left; of one photograph there may be several.

    Raises:
        BatchStopped: they cannot be read.
    """
    for group in record_groups(output):
        for location in group:
            yield from _read_file(location)


def newest_records(records: Iterable[Outcome]) -> dict[str, Outcome]:
    """Return the last record of each output, by the output's name."""
    newest: dict[str, Outcome] = {}
    for record in records:
        if record.output not in newest or record.finished > newest[record.output].finished:
            newest[record.output] = record
    return newest


def record_groups(output: str) -> list[tuple[str, ...]]:
    """Return where the records lie, in groups for one worker each: a large file alone, many small ones together.

    Raises:
        BatchStopped: they cannot be listed.
    """
    groups: list[tuple[str, ...]] = []
    small: list[str] = []
    small_bytes = 0
    for file in _files(_folder(output)):
        if file.path.endswith(_MERGED_SUFFIX) or file.size > _MERGED_BYTES:
            groups.append((file.path,))
            continue
        small.append(file.path)
        small_bytes += file.size
        if len(small) == _FILES_MERGED or small_bytes > _MERGED_BYTES:
            groups.append(tuple(small))
            small, small_bytes = [], 0
    return groups + [(path,) for path in small]


def keyed_records(group: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield every record of a group with its key; small files become one on the way.

    A worker that dies meanwhile loses none: the small files go when the one is whole, and it is read in their place.

    Raises:
        BatchStopped: they cannot be read.
    """
    for record in _read_file(group[0]) if len(group) == 1 else _merged(group):
        yield record.key, record


class RecordWriter:
    """The records of one bundle: of this machine's files a line at once, elsewhere a file from time to time.

    Threads may share it.
    """

    def __init__(self, output: str):
        self._folder = _folder(output)
        self._name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        self._file: IO[str] | None = None
        self._waiting: list[str] = []
        self._written = time.monotonic()
        self._number = 0
        self._lock = threading.Lock()

    def add(self, outcome: Outcome) -> None:
        """Record a photograph whose colouring is written.

        Raises:
            BatchStopped: records cannot be written, of no photograph.
        """
        with self._lock:
            self._add(f"{outcome.to_json()}\n")

    def close(self) -> None:
        """Write what waits."""
        if self._file is not None:
            self._file.close()
        if self._waiting:
            self._write()

    def _add(self, line: str) -> None:
        if is_local(self._folder):
            try:
                self._write_line(line)
            except OSError as error:
                raise BatchStopped(f"cannot write records in {self._folder}: {error.strerror or error}") from error
            return
        self._waiting.append(line)
        is_due = time.monotonic() - self._written > _SECONDS_BETWEEN_FILES
        if is_due or len(self._waiting) >= _RECORDS_IN_A_FILE:
            self._write()

    def _write_line(self, line: str) -> None:
        if self._file is None:
            os.makedirs(self._folder, exist_ok=True)
            path = join(self._folder, f"{self._name}{_SUFFIX}")
            self._file = open(path, "w", encoding="utf-8", errors="surrogateescape", buffering=1)  # noqa: SIM115
        self._file.write(line)

    def _write(self) -> None:
        data = "".join(self._waiting).encode("utf-8", "surrogateescape")
        write_own_file(join(self._folder, f"{self._name}-{self._number}{_SUFFIX}"), data)
        self._waiting, self._written, self._number = [], time.monotonic(), self._number + 1


def _folder(output: str) -> str:
    return join(output, f"{OWN_FOLDER}/records")


def _files(folder: str) -> list[ListedFile]:
    try:
        if not is_local(folder):
            found = FileSystems.match([join(literal(folder), "*")])[0].metadata_list
            files = [ListedFile(file.path, file.size_in_bytes, 0) for file in found]
        else:  # not by a pattern: of a path of this machine "[" is a letter
            with os.scandir(folder) as entries:
                files = [ListedFile(entry.path, entry.stat().st_size, 0) for entry in entries]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error
    return sorted(file for file in files if file.path.endswith((_SUFFIX, _MERGED_SUFFIX)))


def _read_file(location: str) -> Iterator[Outcome]:
    try:
        with open_file(location) as file:
            if location.endswith(_MERGED_SUFFIX):
                for rows in pyarrow.parquet.ParquetFile(file).iter_batches():
                    yield from (Outcome(**row) for row in rows.to_pylist())
                return
            for line in file:
                record = Outcome.from_json(line.decode("utf-8", "replace"))
                if record is not None:
                    yield record
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(location, error) from error


def _merged(group: tuple[str, ...]) -> list[Outcome]:
    """Return the records of small files, which are one file now."""
    names = "\n".join(location.rpartition("/")[2] for location in group)
    folder = group[0].rpartition("/")[0]
    merged = join(folder, f"{hashlib.sha256(names.encode()).hexdigest()[:16]}{_MERGED_SUFFIX}")
    if look_at(merged) is not None:  # a worker that died had come so far
        records = list(_read_file(merged))
    else:
        records = [record for location in group for record in _read_file(location)]
        sink = pyarrow.BufferOutputStream()
        rows = [record._asdict() for record in records]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, _MERGED_SCHEMA), sink)
        write_own_file(merged, sink.getvalue().to_pybytes())
    for location in group:
        with contextlib.suppress(OSError):  # it is gone already, or is read again, beside the merged one, next time
            FileSystems.delete([location]) if not is_local(location) else os.unlink(location)
    return records


def _unreadable(location: str, error: Exception) -> BatchStopped:
    return BatchStopped(f"cannot read the records of earlier runs in {location}: {error}")
