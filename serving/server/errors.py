"""The errors of the embedded server: those its operator sees, and those its clients get as a gRPC status."""

import grpc

from photo.errors import TintypeError


class ServeError(TintypeError):
    """The server cannot start, or no version of its model became available."""


class RequestError(Exception):
    """A request that cannot be answered.

    Attributes:
        code: the gRPC status code the client gets.
        message: the words the client gets.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message
