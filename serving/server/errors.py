"""The errors of the embedded server: those its operator sees, and those its clients get as a gRPC status."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from photo.errors import TintypeError

if TYPE_CHECKING:
    import grpc


class ServeError(TintypeError):
    """The server cannot start, or no version of its model became available."""


class RequestError(Exception):
    """A request that cannot be answered.

    Attributes:
        code: the gRPC status code the client gets.
        message: the words the client gets.
    """

    def __init__(self, code: "grpc.StatusCode", message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> RequestError:
    """Return the error INVALID_ARGUMENT."""
    import grpc

    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def listed_names(names: Iterable[str]) -> str:
    """Return the names as TensorFlow Serving's errors list them: `{a,b}`."""
    return "{" + ",".join(sorted(names)) + "}"


def listed_sizes(shape: Iterable[int]) -> str:
    """Return a shape as TensorFlow Serving's errors write it: `[1,2]`."""
    return "[" + ",".join(map(str, shape)) + "]"
