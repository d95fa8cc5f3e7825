"""A running gateway before a gRPC server that answers without TensorFlow, and photographs to send."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from photo.encoding import encode_photo
from serving.listening_socket import listening_socket
from serving.web.bounded_colorizer import connect
from serving.web.server import WebServer
from serving.web.settings import Limits, WebSettings
from tests.serving.wire_server import WireServer, running


@dataclass
class Gateway:
    """A gateway on a free port; `model_server` can be told to misbehave, `client` is one that asks."""

    address: str
    model_server: WireServer
    client: httpx.Client

    def job_when_done(self, job_id: str) -> dict:
        for _ in range(500):
            document = self.client.get(f"/api/jobs/{job_id}").json()
            if document["state"] == "done":
                return document
            time.sleep(0.02)
        raise AssertionError(f"the job is not done: {document}")


@contextmanager
def serving(settings: WebSettings, model_server: str, **options) -> Iterator[str]:
    """Run a gateway in a thread, with these options for `connect`; yields its address."""
    listener = listening_socket("127.0.0.1", 0, "the page")
    server = WebServer(settings, lambda: connect(model_server, settings.limits, **options), listener)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.is_serving:
            assert thread.is_alive(), "the gateway did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop()
        thread.join(30)
        listener.close()
        assert not thread.is_alive(), "the gateway did not stop"


@contextmanager
def running_gateway(limits: Limits = Limits(), **settings) -> Iterator[Gateway]:  # noqa: B008 - frozen
    """Run a gateway with a model server of its own."""
    with (
        running(WireServer(has_variants=True)) as model_server,
        serving(WebSettings(limits, **settings), model_server.address) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield Gateway(address, model_server, client)


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., Gateway]]:
    """Start a gateway with these limits; further settings by name."""
    with ExitStack() as stack:
        yield lambda *limits, **settings: stack.enter_context(running_gateway(*limits, **settings))


@pytest.fixture(scope="module")
def gateway_of_module() -> Iterator[Gateway]:
    with running_gateway() as gateway:
        yield gateway


@pytest.fixture
def gateway(gateway_of_module) -> Iterator[Gateway]:
    """A gateway that the module's tests share, without jobs and with a model server that behaves well."""
    jobs: list[str] = []

    def note_job(answer: httpx.Response) -> None:
        if answer.status_code == 202 and "location" in answer.headers:
            jobs.append(answer.headers["location"])

    client, model_server = gateway_of_module.client, gateway_of_module.model_server
    client.event_hooks = {"response": [note_job]}
    yield gateway_of_module
    client.event_hooks = {}
    model_server.has_variants, model_server.ab = True, WireServer.ab
    model_server.failures.clear()
    model_server.released.set()
    for job in jobs:
        client.delete(job)


@pytest.fixture(scope="session")
def gray() -> np.ndarray:
    from skimage import data

    return np.repeat(data.camera()[::2, ::2, None], 3, axis=2).copy()


@pytest.fixture(scope="session")
def jpeg(gray) -> bytes:
    return encode_photo(gray, "JPEG")
