"""Sockets that servers listen on."""

import socket

from photo.errors import TintypeError

# Ready to be accepted; beyond, the operating system lets clients wait or refuses them.
_BACKLOG = 1024


def bound_socket(host: str, port: int, purpose: str, *, both_families: bool = False) -> socket.socket:
    """Return a socket that is bound and does not listen yet: clients are refused; port 0 takes a free one.

    Args:
        host: an IPv4 or IPv6 address, or a name.
        port: 0..65535.
        purpose: what is served on it, for the error's words.
        both_families: let `0.0.0.0` stand for all addresses of IPv6 as well, where this machine has IPv6.

    Raises:
        TintypeError: the address cannot be bound.
    """
    if both_families and host == "0.0.0.0" and socket.has_dualstack_ipv6():
        host = "::"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: only then asyncio sends small answers at once instead of after 40 ms (TCP_NODELAY).
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both_families)
        bound.bind((host.strip("[]"), port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or error
        raise TintypeError(f"cannot serve {purpose} on {host}:{port}: {reason}") from error
    return bound


def listening_socket(host: str, port: int, purpose: str) -> socket.socket:
    """Return a socket on which clients wait to be accepted; as `bound_socket`."""
    listener = bound_socket(host, port, purpose)
    try:
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise TintypeError(f"cannot serve {purpose} on {host}:{port}: {error.strerror or error}") from error
    return listener
