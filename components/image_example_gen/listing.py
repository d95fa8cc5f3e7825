"""Looks for photographs in one place or in several (see `locations`)."""

from collections.abc import Iterator

from components.image_example_gen.locations import sources
from photo.archives import FileEntry
from photo.finding import LeftOut
from serving.batch.file_systems import check_location, find_photographs, fingerprint


def check_locations(data: str) -> None:
    """Raise a DataError when a place is not there, or two have one name."""
    for location in sources(data).values():
        check_location(location)


def fingerprint_locations(data: str) -> str:
    """Return a line that changes when a file of any place is added, removed, renamed or changed."""
    named = sources(data)
    return "; ".join(f"{name}: {fingerprint(place)}" if name else fingerprint(place) for name, place in named.items())


def list_photographs(data: str) -> Iterator[FileEntry | LeftOut]:
    """Yield the entries of every place, and what is left out, as `file_systems.find_photographs` does.

    Raises:
        DataError: a place does not exist or cannot be listed.
    """
    for name, location in sources(data).items():
        yield from list_source(name, location)


def list_source(name: str, location: str) -> Iterator[FileEntry | LeftOut]:
    """Yield the entries of one place, the name of its source in front of theirs, and what is left out."""
    for found in find_photographs(location):
        is_entry = isinstance(found, FileEntry)
        yield found._replace(name=f"{name}/{found.name}".strip("/")) if name and is_entry else found
