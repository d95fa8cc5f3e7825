"""Settings of a client as small values: how it tries again, how it keeps its connection, how it is encrypted."""

import math
import os
import random
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from photo.errors import TintypeError


@dataclass(frozen=True)
class Retry:
    """How a request that was answered with UNAVAILABLE is tried again: exponential backoff with full jitter.

    The pause before the n-th further attempt is a random time between nothing and `first_pause * 2**(n - 1)`, so that
    clients that failed together do not come back together (Marc Brooker, "Exponential Backoff And Jitter", 2015). No
    other code is tried again but CANCELLED of a server that is stopping, and nothing after the request's deadline.

        Retry()                                      # until the deadline
        Retry(max_attempts=3)                        # or three answers, whichever comes first
        Retry(max_attempts=1)                        # never
        Retry(first_pause=1.0, longest_pause=30.0)   # patient

    Attributes:
        first_pause: longest pause before the second attempt, in seconds.
        longest_pause: where the doubling ends, in seconds.
        max_attempts: requests altogether; None leaves it to the deadline.
    """

    first_pause: float = 0.1
    longest_pause: float = 2.0
    max_attempts: int | None = None

    def __post_init__(self):
        if not (0 < self.first_pause <= self.longest_pause and math.isfinite(self.longest_pause)):
            raise ValueError(f"expected 0 < first_pause <= longest_pause in seconds, received {self}")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ValueError(f"expected max_attempts of at least 1, received {self.max_attempts}")

    def pause(self, failures: int) -> float:
        """Draw the seconds to wait after so many failures in a row, the first being 1."""
        doublings = min(failures - 1, 64)  # beyond, every longest_pause is reached
        return random.uniform(0, min(self.longest_pause, self.first_pause * 2**doublings))


@dataclass(frozen=True)
class Keepalive:
    """How a connection on which nothing arrives is found to be dead: HTTP/2 pings.

    Servers end connections that ping too often: TensorFlow Serving and other gRPC servers by default when it is more
    often than every five minutes. A shorter interval needs `grpc.http2.min_ping_interval_without_data_ms` on the
    server (of TensorFlow Serving in --grpc_channel_arguments).

        Keepalive()
        Keepalive(interval=30, timeout=5)   # a server that allows it
        Keepalive(when_idle=True)           # behind a load balancer that forgets silent connections

    Attributes:
        interval: seconds between two pings.
        timeout: seconds to wait for the answer to one before the connection is given up.
        when_idle: ping also while no request runs.
    """

    interval: float = 300.0
    timeout: float = 20.0
    when_idle: bool = False

    def __post_init__(self):
        if not (0 < self.interval < 1e6 and 0 < self.timeout < 1e6):
            raise ValueError(f"expected an interval and a timeout of more than 0 seconds, received {self}")

    def channel_options(self) -> list[tuple[str, int]]:
        """Return the gRPC channel arguments."""
        return [
            ("grpc.keepalive_time_ms", max(1, round(1000 * self.interval))),
            ("grpc.keepalive_timeout_ms", max(1, round(1000 * self.timeout))),
            ("grpc.keepalive_permit_without_calls", int(self.when_idle)),
        ]


@dataclass(frozen=True)
class Tls:
    """An encrypted connection, from PEM files.

        Tls()                                              # a certificate of a public authority
        Tls(ca_cert="ca.pem")                              # of your own authority
        Tls("ca.pem", client_cert="me.pem", client_key="me.key")   # mutual: the server checks the client, too
        Tls("ca.pem", server_name="colorizer.internal")    # reached under another name than its certificate's

    Attributes:
        ca_cert: the authorities that may have signed the server's certificate; None takes the public ones that come
            with gRPC.
        client_cert: the certificate (chain) that the client shows.
        client_key: its private key, without a password.
        server_name: the name the server's certificate must bear; None takes the host of the address.
    """

    ca_cert: str | os.PathLike[str] | None = None
    client_cert: str | os.PathLike[str] | None = None
    client_key: str | os.PathLike[str] | None = None
    server_name: str | None = None

    def __post_init__(self):
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("expected client_cert and client_key together, received only one of them")

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            TintypeError: a file cannot be read, or is not what it should be. gRPC itself would only say that nobody
                answers.
        """
        certificates, key = [_read(path) for path in (self.ca_cert, self.client_cert)], _read(self.client_key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path, certificate in zip((self.ca_cert, self.client_cert), certificates, strict=True):
            if certificate is not None:
                try:
                    context.load_verify_locations(cadata=certificate.decode("ascii", "replace"))
                except (ssl.SSLError, ValueError) as error:
                    raise TintypeError(f"{path} holds no certificate in PEM form") from error
        if self.client_cert is not None and self.client_key is not None:
            try:  # a password is never asked for: a server process has nobody to ask
                context.load_cert_chain(self.client_cert, self.client_key, password=lambda: b"")
            except (ssl.SSLError, ValueError) as error:
                raise TintypeError(
                    f"{self.client_key} is not the private key, in PEM form and without a password, "
                    f"of the certificate {self.client_cert}"
                ) from error
        return grpc.ssl_channel_credentials(certificates[0], key, certificates[1])

    def channel_options(self) -> list[tuple[str, str]]:
        """Return the gRPC channel arguments."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TintypeError(f"cannot read {path}: {error.strerror or error}") from error
