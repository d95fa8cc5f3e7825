"""TensorFlow Serving's REST API over a model server: one port, one event loop, a bounded pool of threads.

Clients that send or read slowly cost a connection and never a thread. Imports TensorFlow, through the messages.
"""

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import grpc
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from photo.errors import TintypeError
from serving.http_timeouts import http_protocol_with_timeouts
from serving.listening_socket import bound_socket
from serving.server import monitoring, rest_answers
from serving.server.errors import RequestError, ServeError
from serving.server.model_server import ModelServer
from serving.server.rest_calls import (
    BodyRefused,
    RestHandler,
    Target,
    target_of,
    timed_out,
    too_large,
    without_authority,
)

PROMETHEUS_PATH = "/monitoring/prometheus/metrics"  # TensorFlow Serving's, where its configuration names no other
# JSON takes up to twenty times its size in memory while it is read: `[],[],` is the worst.
MAX_BODY_BYTES = 32 * 2**20

_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_ORIGIN = re.compile("https?://")

# Bodies in memory at once, in units of the largest: a request beyond them is refused like one beyond the threads.
_MAX_HELD_BODIES = 4
_WAITING_PER_THREAD = 8
_STARTUP_SECONDS = 10.0

_STATUS_CODE_OF = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}  # 500 for the others, as in TensorFlow Serving's http_server.cc


class RestServer:
    """Answers TensorFlow Serving's REST API for a `ModelServer`.

    A request is refused with 429 when all threads work and eight more requests wait for each, with 413 when its body
    is larger than `max_body_bytes` (before or after gzip), with 408 when its body takes longer than `patience`, and
    with 504 when its answer takes longer than `timeout_in_ms`. Work that waits for a thread is dropped when its client
    has gone or its time is over; work that runs goes on to its end.

    Args:
        models: does the work; it is called from several threads.
        host: the address to bind.
        port: where to listen; 0 takes a free port, which start() returns.
        bound: a socket that is bound already, in place of `host` and `port`.
        timeout_in_ms: for an answer, from the end of the request's body; 0 is no limit.
        metrics: counts the requests; those of `models` if None.
        prometheus_path: where the metrics are shown, None for nowhere.
        threads: requests worked on at once; four times the processors if None, as in TensorFlow Serving.
        max_body_bytes: the largest body, compressed and not.
        patience: seconds that a client may take to send the head of a request, or its body, and that it may leave
            unread what was sent to it.
        answers_other_sites: let browsers show the answers to the pages of other sites (CORS).
    """

    def __init__(
        self,
        models: ModelServer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        bound: socket.socket | None = None,
        timeout_in_ms: int = 30_000,
        metrics: monitoring.ServerMetrics | None = None,
        prometheus_path: str | None = None,
        threads: int | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        patience: float = 60.0,
        answers_other_sites: bool = False,
    ):
        self._host, self._port = host, port
        self._bound = bound
        self._timeout = timeout_in_ms / 1000 if timeout_in_ms > 0 else None
        self._metrics = metrics or models.metrics
        self._prometheus_path = prometheus_path
        self._max_body_bytes = max_body_bytes
        self._patience = patience
        self._headers = _CORS_HEADERS if answers_other_sites else {}
        self._handler = RestHandler(models, max_body_bytes)
        self._threads = threads or 4 * (os.cpu_count() or 1)
        self._counting = threading.Lock()
        self._requests = 0
        self._held_bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def requests(self) -> int:
        """How many requests run, or wait for a thread."""
        return self._requests

    @property
    def held_bytes(self) -> int:
        """The bytes of bodies that are held in memory."""
        return self._held_bytes

    @property
    def connections(self) -> tuple[asyncio.Protocol, ...]:
        """The connections that are open."""
        return () if self._server is None else tuple(self._server.server_state.connections)

    def start(self) -> int:
        """Listen and serve in a thread of its own.

        Returns:
            The port that is bound.

        Raises:
            ServeError: the address cannot be bound.
        """
        try:
            listener = self._bound or bound_socket(self._host, self._port, "REST", both_families=True)
        except TintypeError as error:
            raise ServeError(str(error)) from error
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="rest")
        config = uvicorn.Config(
            self._answer,
            http=http_protocol_with_timeouts(self._patience),
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="rest", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise ServeError(f"the REST server on {self._host}:{self._port} did not start; its log says why")
            time.sleep(0.005)
        port: int = listener.getsockname()[1]
        return port

    def stop(self, grace: float) -> None:
        """Take no new requests, give those that run `grace` seconds to end, close all connections."""
        if self._server is None or self._thread is None or self._pool is None:
            return
        # uvicorn waits in whole seconds and takes 0 for no limit.
        self._server.config.timeout_graceful_shutdown = max(1, round(grace))
        self._server.should_exit = True
        self._thread.join(max(1.0, grace) + _STARTUP_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._server = self._thread = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = without_authority(scope["path"])
        if path == self._prometheus_path:
            page = await asyncio.to_thread(self._metrics.exposition)
            response: Response = Response(page, media_type=monitoring.CONTENT_TYPE)
        elif not path.lower().startswith("/v1/"):
            response = HTMLResponse("<html><head><title>404 Not Found</title></head></html>\n", 404)
        elif scope["method"] == "OPTIONS":
            # What a browser asks before it lets the page of another site ask.
            is_of_a_page = _ORIGIN.match(request.headers.get("origin", "")) is not None
            response = Response(status_code=200 if is_of_a_page else 400, headers=self._headers)
        else:
            try:
                response = await self._answer_api(request)
            except ClientDisconnect:
                return
        await response(scope, receive, send)

    async def _answer_api(self, request: Request) -> Response:
        started = time.monotonic()
        address = without_authority(request.scope["raw_path"].decode("latin-1"))
        if request.scope["query_string"]:
            address += "?" + request.scope["query_string"].decode("latin-1")
        target = Target()
        code = grpc.StatusCode.OK
        try:
            # The body comes first even where the address is none: left unread it would hold the connection.
            async with self._body(request) as body:
                target = target_of(request.method, address)
                content, status = await self._work(request, target, body), 200
        except BodyRefused as refused:
            # What was not read of the body is not worth reading.
            return Response(
                rest_answers.error_json(str(refused)),
                refused.status,
                {"Connection": "close", **self._headers},
                "application/json",
            )
        except RequestError as error:
            code, status = error.code, _STATUS_CODE_OF.get(error.code, 500)
            content = rest_answers.error_json(error.message)
        self._metrics.observe_request(target.model_name, target.verb, "REST", code.name, time.monotonic() - started)
        return Response(content, status, self._headers, media_type="application/json")

    @asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and len(announced) < 20 and int(announced) > self._max_body_bytes:
            raise too_large(self._max_body_bytes)
        chunks, size = [], 0
        try:
            try:
                async with asyncio.timeout(self._patience):
                    async for chunk in request.stream():
                        chunks.append(chunk)
                        size += len(chunk)
                        self._held_bytes += len(chunk)
                        if size > self._max_body_bytes:
                            raise too_large(self._max_body_bytes)
                        if self._held_bytes > _MAX_HELD_BODIES * self._max_body_bytes:
                            raise BodyRefused(429, "Too many bodies of requests are held in memory; try again later.")
            except TimeoutError:
                raise BodyRefused(408, f"The body did not arrive within {self._patience:g} s.") from None
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self._held_bytes -= size

    async def _work(self, request: Request, target: Target, body: bytes) -> bytes:
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        is_gzip = "gzip" in request.headers.get("content-encoding", "")
        self._take_place()
        assert self._pool is not None
        try:
            job = self._pool.submit(self._handler.handle, target, body, is_gzip, deadline)
        except RuntimeError as error:
            self._give_place_back()
            raise RequestError(grpc.StatusCode.UNAVAILABLE, "The server is stopping.") from error
        job.add_done_callback(lambda _: self._give_place_back())
        answer = asyncio.wrap_future(job)
        gone: asyncio.Future[None] = asyncio.ensure_future(_disconnection(request))
        either: set[asyncio.Future[Any]] = {answer, gone}
        try:
            done, _ = await asyncio.wait(either, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if answer in done:
                return answer.result()
            if gone in done:
                raise ClientDisconnect
            raise timed_out()
        finally:
            gone.cancel()
            answer.cancel()

    def _take_place(self) -> None:
        with self._counting:
            if self._requests >= self._threads * (1 + _WAITING_PER_THREAD):
                raise RequestError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "All threads are busy and enough requests wait; try again later.",
                )
            self._requests += 1

    def _give_place_back(self) -> None:
        with self._counting:
            self._requests -= 1


async def _disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
