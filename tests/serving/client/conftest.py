"""The server that the client's tests ask."""

from tests.serving.wire_server import unused_port, wire_server  # noqa: F401 - fixtures
