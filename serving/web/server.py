"""Runs the gateway: one port, one event loop, connections that stand still are closed."""

import asyncio
import gc
import logging
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import uvicorn

from serving.http_timeouts import http_protocol_with_timeouts
from serving.malloc_settings import keep_freed_memory
from serving.web.api.gateway import Gateway
from serving.web.app import create_app
from serving.web.bounded_colorizer import BoundedColorizer
from serving.web.connection_queue import ConnectionQueue
from serving.web.metrics import Metrics
from serving.web.settings import WebSettings

log = logging.getLogger(__name__)

STOP_GRACE_SECONDS = 20  # whole seconds, of uvicorn

# After so long the event loop gets its turn from threads that work on pixels; each answer takes several turns.
_SWITCH_SECONDS = 0.001

# All that a photo of two megapixels takes is kept. Larger blocks are not, so that the largest photo there ever was does
# not decide how much.
_LARGEST_BLOCK, _KEPT_BYTES = 8 * 2**20, 32 * 2**20


class WebServer:
    """The gateway on a socket.

    Args:
        settings: of the gateway.
        connect: makes what colours, within the event loop.
        listener: a listening socket.
        owns_process: nothing else runs in this process, so that its memory, its garbage and its threads' turns may be
            arranged for the gateway.
    """

    def __init__(
        self,
        settings: WebSettings,
        connect: Callable[[], BoundedColorizer],
        listener: socket.socket,
        *,
        owns_process: bool = False,
    ):
        self._settings = settings
        self._owns_process = owns_process
        self._connect = connect
        self._listener = listener
        self._server: _QueuedServer | None = None
        self._is_stopping = False

    def run(self) -> None:
        """Serve until `stop` is called, or SIGINT or SIGTERM comes (in the main thread); then end what runs."""
        if self._owns_process:
            keep_freed_memory(_LARGEST_BLOCK, _KEPT_BYTES)
            sys.setswitchinterval(_SWITCH_SECONDS)
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Let `run` end; from any thread."""
        self._is_stopping = True
        if self._server is not None:
            self._server.should_exit = True

    @property
    def is_serving(self) -> bool:
        """Whether requests are answered."""
        return self._server is not None and self._server.started

    async def _serve(self) -> None:
        _allow_many_files()
        proxies, patience = self._settings.trusted_proxies, self._settings.limits.stall_seconds
        colorizer = self._connect()
        app = create_app(self._settings, colorizer)
        config = uvicorn.Config(
            app,
            http=http_protocol_with_timeouts(patience),
            ws="none",
            interface="asgi3",
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_GRACE_SECONDS,
        )
        gateway: Gateway = app.state.gateway
        stop_following = gateway.jobs.stop_following
        self._server = _QueuedServer(config, self._listener, patience, self._owns_process, stop_following)
        self._server.should_exit = self._is_stopping
        async with self._metrics_port(gateway.metrics, colorizer):
            await self._server.serve(sockets=[])

    @asynccontextmanager
    async def _metrics_port(self, metrics: Metrics, colorizer: BoundedColorizer) -> AsyncIterator[None]:
        port = self._settings.metrics_port
        if port is None:
            yield
            return
        host = self._listener.getsockname()[0]
        with metrics.served_on(host, port):
            log.info("the metrics are at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
            watching = asyncio.create_task(colorizer.watch())
            try:
                yield
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching


class _QueuedServer(uvicorn.Server):
    """uvicorn behind a `ConnectionQueue`: it listens on no socket itself, and makes the protocol of each connection.

    Of what uvicorn does not document it takes `config.http_protocol_class` with its arguments, `server_state` and
    `lifespan.state`; a test names them.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        patience: float,
        owns_process: bool,
        before_shutdown: Callable[[], None],
    ):
        super().__init__(config)
        self._before_shutdown = before_shutdown
        self._owns_process = owns_process
        self._listener = listener
        self._patience = patience
        self._queue: ConnectionQueue | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await super().startup(sockets)
        if self._owns_process:
            gc.collect()
            gc.freeze()  # what is left stays; to look through it for garbage again would hold everybody up for 40 ms
        self._queue = ConnectionQueue(self._listener, self._http_protocol, self._patience)
        self._queue.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, then let end what runs."""
        if self._queue is not None:
            self._queue.close()
        self._before_shutdown()
        await super().shutdown(sockets)

    def _http_protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _allow_many_files() -> None:
    """Raise the soft limit of open files: every kept photograph and every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
