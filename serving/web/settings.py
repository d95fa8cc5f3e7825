"""What an operator may set of the gateway: its limits, and how long it keeps photographs."""

import math
import os
from dataclasses import dataclass, field, fields

MOST_VARIANTS = 8  # colourings of one photograph


@dataclass(frozen=True)
class Limits:
    """How much the gateway takes on; what goes beyond is refused with a problem that says what to do.

    Attributes:
        photo_bytes: largest file.
        pixels: largest height times width, judged from the header before anything is decoded.
        photos: photographs in one job.
        held_bytes: files of all jobs together, on disk.
        jobs: jobs at a time.
        requests: requests that carry or colour photographs, at a time.
        requests_per_client: the same, of one address.
        event_streams: open streams of progress.
        event_streams_per_client: the same, of one address.
        upload_seconds: for the whole of an upload.
        stall_seconds: in which at least something of it must come, a request's head must be complete, and a client
            must read something of what was sent to it.
        photo_seconds: for the answer of the model server about one photograph.
        threads: that work on pixels; what they hold is bounded by twice `pixels` in any case.
        photos_at_once: photographs that are read or asked about at a time.
    """

    photo_bytes: int = 40 * 2**20
    pixels: int = 50_000_000
    photos: int = 50
    held_bytes: int = 4 * 2**30
    jobs: int = 1000
    requests: int = 64
    requests_per_client: int = 16
    event_streams: int = 512
    event_streams_per_client: int = 16
    upload_seconds: float = 600.0
    stall_seconds: float = 20.0
    photo_seconds: float = 30.0
    threads: int = field(default_factory=lambda: 2 + (os.cpu_count() or 1))
    photos_at_once: int = 4

    def __post_init__(self) -> None:
        for name in (limit.name for limit in fields(self)):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"expected {name} of more than 0, received {value}")


@dataclass(frozen=True)
class WebSettings:
    """Settings of the gateway beside the connection to the model server.

    Attributes:
        limits: how much it takes on.
        keep_seconds: how long a job stays after it was last asked for.
        keep_after_download_seconds: how long it stays once all its results were downloaded; 0 deletes at once.
        access_token: what a caller must show as `Authorization: Bearer`; None lets everybody in.
        trusted_proxies: addresses or networks of proxies whose X-Forwarded-For names the client; empty for none.
        expiry_check_seconds: between two looks for jobs whose time is over.
        heartbeat_seconds: between two signs of life in a stream of events, so that proxies do not take it for dead.
    """

    limits: Limits = Limits()
    keep_seconds: float = 1800.0
    keep_after_download_seconds: float = 300.0
    access_token: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    expiry_check_seconds: float = 1.0
    heartbeat_seconds: float = 15.0

    def __post_init__(self) -> None:
        for name in ("keep_seconds", "keep_after_download_seconds"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"expected {name} of at least 0, received {value}")
        if self.access_token is not None and not self.access_token.isprintable():
            raise ValueError("expected the access token in printable characters")  # not repeated: it is a secret
        if self.access_token is not None and len(self.access_token) < 16:
            raise ValueError(
                f"expected an access token of at least 16 characters, received {len(self.access_token)}; "
                "`openssl rand -hex 24` makes a good one"
            )
