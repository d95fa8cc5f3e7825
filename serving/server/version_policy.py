"""Which versions of a model are to be served, and which one is loaded or unloaded next."""

from collections.abc import Callable, Collection, Iterable
from typing import Literal, Protocol, TypeVar

from serving.server.version_status import ServableState

VersionPolicy = Callable[[Collection[int]], set[int]]
"""Chooses the versions to serve out of those found; it may ask for more than there are."""


def latest(num_versions: int = 1) -> VersionPolicy:
    """The policy that serves the `num_versions` greatest numbers."""
    return lambda found: set(sorted(found)[-num_versions:])


def every(found: Collection[int]) -> set[int]:
    """The policy that serves all versions."""
    return set(found)


def specific(versions: Iterable[int]) -> VersionPolicy:
    """The policy that serves these versions, as far as they are there, and no others."""
    wanted = frozenset(versions)
    return lambda found: set(wanted)


class ManagedVersion(Protocol):
    """What the order of actions depends on.

    Attributes:
        number: of the version.
        aspired: whether the policy asks for it.
        state: where in its life it is.
        is_attempting: whether it is being loaded at the moment, and does not wait for another attempt.
    """

    number: int
    aspired: bool
    state: ServableState
    is_attempting: bool


VersionT = TypeVar("VersionT", bound=ManagedVersion)


def next_action(versions: Iterable[VersionT], *, keep_last: bool) -> tuple[Literal["load", "unload"], VersionT] | None:
    """What TensorFlow Serving's AvailabilityPreservingPolicy does next, if anything (see `VersionManager`).

    Args:
        versions: all that are known.
        keep_last: keep the last available version also when no version is aspired any more.
    """
    versions = list(versions)
    available = [version for version in versions if version.state is ServableState.AVAILABLE]
    retired = [version for version in available if not version.aspired]
    must_keep = keep_last or any(version.aspired for version in versions)
    if retired and (len(available) > 1 or not must_keep):
        return "unload", min(retired, key=lambda version: version.number)
    if any(version.is_attempting for version in versions):
        return None
    waiting = [version for version in versions if version.aspired and version.state is ServableState.START]
    return ("load", max(waiting, key=lambda version: version.number)) if waiting else None
