"""The errors of the embedded server: those its operator sees, and those its clients get as a gRPC status."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from photo.errors import TintypeError

if TYPE_CHECKING:
    import grpc

_TRACE_LINES = ("Detected at node", "  File ", "<stack traces unavailable>")


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


def words_of(error: BaseException) -> str:
    """Return an error in one line, without places in Python and without the nodes of a graph."""
    message = getattr(error, "message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    return " ".join(without_traces(str(message)).split())


def without_traces(message: str) -> str:
    """Return the words of TensorFlow's error itself: it puts places in Python before them and the nodes behind them."""
    lines = [line for line in message.splitlines() if line.strip()]
    if lines and lines[0].startswith("Graph execution error"):
        lines = [line for line in lines[1:] if not line.startswith(_TRACE_LINES)]
    return "\n".join(line for line in lines if not line.lstrip().startswith("[[{{")) or message
