"""Settings of a client as small values: what it asks for, and how it connects, encrypts, waits and tries again.

The command line reads its options off them, so nothing heavy is imported before it is used.
"""

import math
import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from photo.errors import TintypeError
from photo.limits import MAX_PIXELS

if TYPE_CHECKING:
    import grpc

_PEM = {"metavar": "PEM", "type": Path | None}


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

    def __post_init__(self) -> None:
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

    def __post_init__(self) -> None:
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

    ca_cert: str | os.PathLike[str] | None = field(
        default=None, metadata={"help": "Authority of the server's certificate.", **_PEM}
    )
    client_cert: str | os.PathLike[str] | None = field(default=None, metadata={"help": "Certificate to show.", **_PEM})
    client_key: str | os.PathLike[str] | None = field(default=None, metadata={"help": "Its private key.", **_PEM})
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("expected client_cert and client_key together, received only one of them")

    def credentials(self) -> "grpc.ChannelCredentials":
        """Read the files.

        Raises:
            TintypeError: a file cannot be read, or is not what it should be. gRPC itself would only say that nobody
                answers.
        """
        import ssl

        import grpc

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


_CONNECTION = {"panel": "Connection"}  # of --help


@dataclass(frozen=True)
class ConnectionOptions:
    """What a client asks a server for, and how.

        ConnectionOptions(timeout=10)
        ConnectionOptions(tls=Tls(), token="...")
        ConnectionOptions(version_label="stable")
        ConnectionOptions(canary_share=0.05)

    Attributes:
        model_name: the name the server serves the model under.
        model_version: ask this version; None asks the newest (or what `version_label` names).
        version_label: ask the version the server has given this label, e.g. "stable".
        canary_share: the share of the photographs, 0..1, that goes to the version labelled `canary_label`; the others
            go to `stable_label`. A photograph's pixels decide, so the same one always meets the same label.
        stable_label: label of the version in use.
        canary_label: label of the version on trial.
        timeout: seconds for one request, the wait for a server that is only starting and all attempts included.
        retry: how to try again what was answered with UNAVAILABLE.
        keepalive: how to find out that the connection is dead; None leaves it to the operating system.
        tls: encrypt the connection; None speaks plain text.
        token: sent with every request as `authorization: Bearer TOKEN`; over a network only with `tls`.
        metadata: further headers to send with every request.
        compression: "gzip" compresses requests; None sends them as they are, which is right for a fast network.
        max_message_bytes: larger requests and answers are refused.
        max_pixels: larger photographs are refused.

    Raises:
        ValueError: for a value that can never work.
    """

    model_name: str = field(
        default="colorizer", metadata={"help": "The name the server serves the model under.", **_CONNECTION}
    )
    model_version: int | None = None
    version_label: str | None = field(
        default=None, metadata={"help": "Ask the version with this label.", "flag": "--label", **_CONNECTION}
    )
    canary_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of the photographs for the version labelled canary; stable colours the others.",
            "min": 0.0,
            "max": 1.0,
            **_CONNECTION,
        },
    )
    stable_label: str = "stable"
    canary_label: str = "canary"
    timeout: float = field(
        default=30.0, metadata={"help": "Seconds to wait for one answer.", "min": 0.001, **_CONNECTION}
    )
    retry: Retry = Retry()
    keepalive: Keepalive | None = Keepalive()
    tls: Tls | None = field(default=None, metadata={"help": "Encrypt; the options below do so, too.", **_CONNECTION})
    token: str | None = field(
        default=None,
        metadata={
            "help": "Bearer token; best given by the environment.",
            "envvar": "TINTYPE_TOKEN",
            "show_envvar": True,
            "convert": str.strip,
            **_CONNECTION,
        },
    )
    metadata: Mapping[str, str] | None = None
    compression: str | None = field(
        default=None,
        metadata={
            "help": "Of what is sent, for a slow network.",
            "choices": {"none": None, "gzip": "gzip"},
            **_CONNECTION,
        },
    )
    max_message_bytes: int = 1 << 28
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if not (self.timeout > 0 and math.isfinite(self.timeout)):
            raise ValueError(f"expected a timeout of more than 0 seconds, received {self.timeout}")
        if self.model_version is not None and self.version_label is not None:
            raise ValueError("expected model_version or version_label, received both")
        if not 0 <= self.canary_share <= 1:
            raise ValueError(f"expected a canary_share of 0..1, received {self.canary_share}")
        if self.canary_share and (self.model_version is not None or self.version_label is not None):
            raise ValueError(
                f"canary_share={self.canary_share} chooses between {self.stable_label!r} and {self.canary_label!r}; "
                "leave model_version and version_label out"
            )
        if self.compression not in (None, "gzip"):
            raise ValueError(f"expected a compression of 'gzip' or None, received {self.compression!r}")
        if self.max_message_bytes < 1:
            raise ValueError(f"expected max_message_bytes of at least 1, received {self.max_message_bytes}")
        for key, value in self.headers().items():
            if not re.fullmatch(r"[0-9a-z_.-]+", key) or key.startswith("grpc-") or key.endswith("-bin"):
                raise ValueError(f"expected a metadata key of 0-9 a-z _ . -, received {key!r}")
            if not re.fullmatch(r"[ -~]*", value):
                raise ValueError(f"expected the metadata {key!r} in printable ASCII")  # not repeated: maybe a secret

    def headers(self) -> dict[str, str]:
        """Return the headers to send with every request: `metadata`, and the token as gRPC servers expect it."""
        return {**(self.metadata or {}), **({"authorization": f"Bearer {self.token}"} if self.token else {})}


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TintypeError(f"cannot read {path}: {error.strerror or error}") from error
