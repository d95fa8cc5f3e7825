"""Ports for servers that a test or a benchmark starts in a moment."""

import random
import socket

# Below the ports that systems give to outgoing connections: none of those takes one before its server does.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
