"""A port on which nobody listens."""

from tests.serving.wire_server import unused_port  # noqa: F401 - a fixture
