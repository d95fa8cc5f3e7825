"""Photographs of several places at once, written as one string, a line for each, because TFX has one `input_base`.

Of several places each is a source with a name: its folder's or archive's, without the ending. The name stands in front
of the photographs' own paths, so it is the label of those that lie in no folder, and `data.weights` may name it.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from photo.errors import DataError

_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


def join_locations(locations: Iterable[str]) -> str:
    """Several places as one string."""
    return "\n".join(locations)


def split_locations(data: str) -> tuple[str, ...]:
    """The places that a string names, in its order."""
    return tuple(line.strip() for line in data.splitlines() if line.strip()) or (data,)


def describe_locations(data: str) -> str:
    """The places in one line, for people."""
    return ", ".join(split_locations(data))


def sources(data: str) -> dict[str, str]:
    """The places by the name that stands in front of their photographs' paths; a single place has none, "".

    Raises:
        DataError: two places have one name.
    """
    locations = split_locations(data)
    if len(locations) == 1:
        return {"": locations[0]}
    named: dict[str, str] = {}
    for location in locations:
        name = PurePosixPath(location.rstrip("/")).name
        ending = next((ending for ending in _ARCHIVES if name.lower().endswith(ending)), "")
        name = name[: len(name) - len(ending)]
        if name in named:
            raise DataError(
                f"{named[name]} and {location} are both called {name}: rename one, photographs are told by it"
            )
        named[name] = location
    return named
