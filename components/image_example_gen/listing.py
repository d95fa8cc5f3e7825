"""Looks for photographs in one place or in several (see `locations`)."""

from collections.abc import Iterator

from components.image_example_gen.locations import sources
from photo.archives import FileEntry
from serving.batch.file_systems import check_location, fingerprint, list_entries


def check_locations(data: str) -> None:
    """Raise a DataError when a place is not there, or two have one name."""
    for location in sources(data).values():
        check_location(location)


def fingerprint_locations(data: str) -> str:
    """Return a line that changes when a file of any place is added, removed, renamed or changed."""
    named = sources(data)
    return "; ".join(f"{name}: {fingerprint(place)}" if name else fingerprint(place) for name, place in named.items())


def list_photographs(data: str) -> Iterator[FileEntry]:
    """Yield the entries of every place, as `file_systems.list_entries` does.

    Raises:
        DataError: a place does not exist, or an archive is damaged; the message names it.
    """
    for name, location in sources(data).items():
        yield from list_source(name, location)


def list_source(name: str, location: str) -> Iterator[FileEntry]:
    """Yield the entries of one place, the name of its source in front of theirs."""
    for entry in list_entries(location):
        yield entry._replace(name=f"{name}/{entry.name}".strip("/")) if name else entry
