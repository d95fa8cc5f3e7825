"""The life of a version of a model, and what is known of it."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class ServableState(enum.IntEnum):
    """The life of a version; the numbers are those of TensorFlow Serving's ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What is known of one version.

    Attributes:
        version: the name of its folder as a number.
        state: where in its life it is.
        error_code: google.rpc.Code of the last attempt to load it, if that failed; else 0.
        error_message: the words of that error; empty when there is none.
    """

    version: int
    state: ServableState
    error_code: int = 0
    error_message: str = ""


def is_any_available(statuses: Iterable[VersionStatus]) -> bool:
    """Return whether there is a version that can be asked."""
    return any(status.state is ServableState.AVAILABLE for status in statuses)
