"""What a call of a client consists of: steps that a blocking and an asynchronous client carry out in their own ways.

Each call is a flow: a generator that yields what is to be done (a request to send, a pause to make, a piece of work for
the processor) and gets the outcome back, or the exception thrown in.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """A request to send; its outcome is the response.

    Attributes:
        method: full name of the gRPC method.
        request: the message.
        parse: makes the response of its bytes.
        timeout: seconds until the answer must be there.
    """

    method: str
    request: Message
    parse: Callable[[bytes], Message]
    timeout: float


@dataclass(frozen=True)
class Pause:
    """Seconds to wait."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Work for the processor or a disk; its outcome is what the function returns."""

    function: Callable[[], Any]


Flow = Generator[Send | Pause | Work, Any, T]
