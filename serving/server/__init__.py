"""The embedded server: TensorFlow Serving's contract on one machine, in one process."""

from serving.server.embedded_server import EmbeddedServer
from serving.server.errors import ServeError

__all__ = ["EmbeddedServer", "ServeError"]
