"""What an operator may set of the gateway: its limits, and how long it keeps photographs."""

import math
import os
import re
from dataclasses import dataclass, field, fields

from photo.credentials import Credentials


def _limit(help: str, **more: object) -> dict[str, object]:
    return {"help": help, "panel": "Limits", **more}


def _privacy(help: str, **more: object) -> dict[str, object]:
    return {"help": help, "panel": "Privacy and access", **more}


MOST_VARIANTS = 8  # colourings of one photograph


@dataclass(frozen=True)
class Limits:
    """How much the gateway takes on; what goes beyond is refused with a problem that says what to do.

    Attributes:
        photo_bytes: largest file.
        pixels: largest height times width, judged from the header before anything is decoded.
        photos: photographs in one job.
        archive_photos: photographs, and others that are left out, of one archive.
        held_bytes: files of all jobs together, on disk.
        jobs: jobs at a time.
        requests: requests that carry or colour photographs, at a time.
        requests_per_client: the same, of one address.
        event_streams: open streams of progress.
        event_streams_per_client: the same, of one address.
        upload_seconds: for the whole of an upload.
        stall_seconds: in which at least something of it must come, a request's head must be complete, and a client
            must read something of what was sent to it.
        threads: that work on pixels; what they hold is bounded by twice `pixels` in any case.
        photos_at_once: photographs that are read or asked about at a time.
    """

    photo_bytes: int = field(
        default=40 * 2**20,
        metadata=_limit("Largest file, in MB of 2^20 bytes.", flag="--max-megabytes", unit=2**20, min=0.001),
    )
    pixels: int = field(
        default=50_000_000,
        metadata=_limit("Largest photo.", flag="--max-megapixels", unit=1_000_000, min=0.001, max=200),
    )
    photos: int = field(default=50, metadata=_limit("Photos in one job.", flag="--max-photos", min=1))
    archive_photos: int = 1000
    held_bytes: int = field(
        default=4 * 2**30,
        metadata=_limit("Files kept on disk, together.", flag="--max-held-megabytes", unit=2**20, type=int, min=1),
    )
    jobs: int = 1000
    requests: int = field(default=64, metadata=_limit("Requests at a time.", flag="--max-requests", min=1))
    requests_per_client: int = field(
        default=16, metadata=_limit("Requests of one address at a time.", flag="--max-requests-per-client", min=1)
    )
    event_streams: int = 512
    event_streams_per_client: int = 16
    upload_seconds: float = field(default=600, metadata=_limit("For the whole of an upload.", min=1))
    stall_seconds: float = field(default=20, metadata=_limit("In which something of it must come.", min=1))
    threads: int = field(
        default_factory=lambda: 2 + (os.cpu_count() or 1),
        metadata=_limit("That work on pixels; two more than processors if not given.", min=1, unset=True),
    )
    photos_at_once: int = 4

    @property
    def archive_bytes(self) -> int:
        """Largest archive, and the most that its photographs may have together: what a job of single ones may have."""
        return self.photos * self.photo_bytes

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
        metrics_port: on which the metrics are shown without the token, at the page's address; None for no such port.
        allowed_hosts: names under which it may be asked, beside addresses and localhost; "*" for any name.
        credentials: with which results are signed (C2PA); None signs nothing.
        expiry_check_seconds: between two looks for jobs whose time is over.
        heartbeat_seconds: between two signs of life in a stream of events, so that proxies do not take it for dead.
    """

    limits: Limits = Limits()
    keep_seconds: float = field(
        default=1800,
        metadata=_privacy("Photos are deleted so long after the last request.", flag="--keep-minutes", unit=60, min=0),
    )
    keep_after_download_seconds: float = field(
        default=300,
        metadata=_privacy(
            "Once all results were downloaded; 0: at once.", flag="--keep-minutes-after-download", unit=60, min=0
        ),
    )
    access_token: str | None = field(
        default=None,
        metadata=_privacy(
            "What callers must show; best given by the environment. Without one everybody may come in.",
            envvar="TINTYPE_ACCESS_TOKEN",
            convert=lambda token: token.strip() if token else None,
        ),
    )
    trusted_proxies: tuple[str, ...] = field(
        default=(),
        metadata=_privacy(
            "A proxy, or network of them, whose X-Forwarded-For is believed; may be repeated.",
            flag="--trusted-proxy",
            metavar="ADDRESS",
            type=list[str],
            convert=tuple,
            unset=True,
        ),
    )
    metrics_port: int | None = field(
        default=None,
        metadata=_privacy(
            "Show the metrics on a port of their own, too, without the token: for Prometheus, behind a firewall.",
            min=1,
            max=65535,
            unset=True,
        ),
    )
    allowed_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_privacy(
            "A name under which browsers may open the page, as photos.example.org; may be repeated; * for any. "
            "Addresses and localhost always may.",
            flag="--allowed-host",
            metavar="NAME",
            type=list[str],
            convert=tuple,
            unset=True,
        ),
    )
    credentials: Credentials | None = field(default=None, metadata={"help": "Sign.", "hidden": True, "panel": "Marks"})
    expiry_check_seconds: float = 1.0
    heartbeat_seconds: float = 15.0

    def __post_init__(self) -> None:
        for name in ("keep_seconds", "keep_after_download_seconds"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"expected {name} of at least 0, received {value}")
        for name in self.allowed_hosts:
            if name != "*" and not re.fullmatch(r"[\w.-]+", name):
                raise ValueError(f"expected a name as photos.example.org, without scheme and port, received {name!r}")
        if self.access_token is not None and not self.access_token.isprintable():
            raise ValueError("expected the access token in printable characters")  # not repeated: it is a secret
        if self.access_token is not None and len(self.access_token) < 16:
            raise ValueError(
                f"expected an access token of at least 16 characters, received {len(self.access_token)}; "
                "`openssl rand -hex 24` makes a good one"
            )
