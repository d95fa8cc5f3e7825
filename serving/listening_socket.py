"""A listening socket for an HTTP server on uvicorn."""

import socket

from photo.errors import TintypeError

# Ready to be accepted; beyond, the operating system lets clients wait or refuses them.
_BACKLOG = 1024


def listening_socket(host: str, port: int, purpose: str) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Args:
        host: an IPv4 or IPv6 address, or a name.
        port: 0..65535.
        purpose: what is served on it, for the error's words.

    Raises:
        TintypeError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: only then asyncio sends small answers at once instead of after 40 ms (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise TintypeError(f"cannot serve {purpose} on {host}:{port}: {reason}") from error
    return listener
