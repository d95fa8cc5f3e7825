"""Names the colourings: joins each photograph with what earlier runs say of it, and tells apart those of one name."""

import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from photo.archives import FileEntry
from serving.batch.elements import Task, shown_path
from serving.batch.output_settings import OutputSettings
from serving.batch.records import newest_records


class KeyByName(beam.DoFn):
    """FileEntry -> (name of its output in lower case, FileEntry): some filesystems take A.jpg and a.jpg for one."""

    def __init__(self, settings: OutputSettings):
        self._settings = settings

    def process(self, entry: FileEntry) -> Iterator[tuple[str, FileEntry]]:
        """Give one its key."""
        yield self._settings.output_name(entry.name, entry.suffix).casefold(), entry


class NameOutputs(beam.DoFn):
    """(key, entries and records) -> tasks; photographs of one name are told apart, the same one stays single."""

    def __init__(self, settings: OutputSettings):
        self._settings = settings

    def process(self, group: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Task]:
        """Name the photographs of one key."""
        key, found = group
        # Whoever named a photograph once more may not have looked at its date.
        entries: list[FileEntry] = sorted({entry._replace(stamp=""): entry for entry in found["entries"]}.values())
        if not entries:
            return
        records = newest_records(found["records"])
        for number, entry in enumerate(entries):
            output = self._settings.output_name(entry.name, entry.suffix)
            if number:
                output = told_apart(output, shown_path(entry))
            yield Task(entry, output, key, records.get(output))


def told_apart(output_name: str, path: str) -> str:
    """Return another name for the colouring of `path`, because `output_name` is taken: always the same one."""
    stem, suffix = posixpath.splitext(output_name)
    return f"{stem}-{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}{suffix}"
