"""What the gateway counts, for Prometheus."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)

from photo.errors import TintypeError

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The counters of one gateway; labels never come from a request's content, so the series are few.

    Attributes:
        requests: by route (the pattern, without ids), method and status.
        seconds: from a request's head to the end of its answer, by route.
        photos: of jobs and single ones, by what became of them: done or failed.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "tintype_web_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "tintype_web_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.photos = Counter("tintype_web_photos", "Photos by outcome.", ["outcome"], registry=self._registry)

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Show a value as it is when it is asked for."""
        Gauge(f"tintype_web_{name}", description, registry=self._registry).set_function(value)

    def exposition(self) -> bytes:
        """Return all in Prometheus' text format."""
        return generate_latest(self._registry)

    @contextmanager
    def served_on(self, host: str, port: int) -> Iterator[None]:
        """Show all on a port of its own, in threads of its own, to whoever reaches it.

        Raises:
            TintypeError: the address cannot be bound.
        """
        try:
            server, thread = start_http_server(port, host, self._registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise TintypeError(f"cannot serve the metrics on {host}:{port}: {reason}") from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
