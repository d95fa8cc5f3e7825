"""The records that a run leaves beside its photographs, one line for each that it coloured; the next run reads them."""

import os
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import IO

from apache_beam.io.filesystems import FileSystems

from serving.batch.errors import BatchStopped
from serving.batch.file_systems import is_local, literal, open_file
from serving.batch.outcomes import Outcome
from serving.batch.output_settings import OWN_FOLDER
from serving.batch.outputs import join, write_own_file

# An object cannot be added to: there, a worker writes its records so often, and what a kill leaves without one is
# coloured again.
_SECONDS_BETWEEN_FILES = 5.0
_RECORDS_IN_A_FILE = 500


def read_records(output: str) -> Iterator[Outcome]:
    """Yield every record that runs into this output have left; of one photograph there may be several.

    Raises:
        BatchStopped: they cannot be read.
    """
    try:
        for location in _files(_folder(output)):
            with open_file(location) as lines:
                for line in lines:
                    record = Outcome.from_json(line.decode("utf-8", "replace"))
                    if record is not None:
                        yield record
    except OSError as error:
        raise BatchStopped(f"cannot read the records of earlier runs in {_folder(output)}: {error}") from error


def newest_records(records: Iterable[Outcome]) -> dict[str, Outcome]:
    """Return the last record of each output, by the output's name."""
    newest: dict[str, Outcome] = {}
    for record in records:
        if record.output not in newest or record.finished > newest[record.output].finished:
            newest[record.output] = record
    return newest


def keyed_records(output: str) -> Iterator[tuple[str, str]]:
    """Yield every record as JSON, with its key."""
    for record in read_records(output):
        yield record.key, record.to_json()


class RecordWriter:
    """The records of one bundle: of this machine's files a line at once, elsewhere a file from time to time."""

    def __init__(self, output: str):
        self._folder = _folder(output)
        self._name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        self._file: IO[str] | None = None
        self._waiting: list[str] = []
        self._written = time.monotonic()
        self._number = 0

    def add(self, outcome: Outcome) -> None:
        """Record a photograph whose colouring is written.

        Raises:
            BatchStopped: records cannot be written, of no photograph.
        """
        line = f"{outcome.to_json()}\n"
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

    def close(self) -> None:
        """Write what waits."""
        if self._file is not None:
            self._file.close()
        if self._waiting:
            self._write()

    def _write_line(self, line: str) -> None:
        if self._file is None:
            os.makedirs(self._folder, exist_ok=True)
            path = join(self._folder, f"{self._name}.jsonl")
            self._file = open(path, "w", encoding="utf-8", errors="surrogateescape", buffering=1)  # noqa: SIM115
        self._file.write(line)

    def _write(self) -> None:
        data = "".join(self._waiting).encode("utf-8", "surrogateescape")
        write_own_file(join(self._folder, f"{self._name}-{self._number}.jsonl"), data)
        self._waiting, self._written, self._number = [], time.monotonic(), self._number + 1


def _folder(output: str) -> str:
    return join(output, f"{OWN_FOLDER}/records")


def _files(folder: str) -> list[str]:
    if not is_local(folder):
        return [file.path for file in FileSystems.match([join(literal(folder), "*.jsonl")])[0].metadata_list]
    try:  # not by a pattern: of a path of this machine "[" is a letter
        return [join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".jsonl")]
    except FileNotFoundError:
        return []
