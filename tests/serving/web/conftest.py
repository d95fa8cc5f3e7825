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


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., Gateway]]:
    """Start a gateway with these limits; further settings by name."""
    with ExitStack() as stack:

        def start(limits: Limits = Limits(), **settings) -> Gateway:  # noqa: B008 - frozen
            model_server = stack.enter_context(running(WireServer(has_variants=True)))
            address = stack.enter_context(serving(WebSettings(limits, **settings), model_server.address))
            client = stack.enter_context(httpx.Client(base_url=address, timeout=30))
            return Gateway(address, model_server, client)

        yield start


@pytest.fixture
def gateway(start_gateway) -> Gateway:
    return start_gateway()


@pytest.fixture(scope="session")
def gray() -> np.ndarray:
    from skimage import data

    return np.repeat(data.camera()[::2, ::2, None], 3, axis=2).copy()


@pytest.fixture(scope="session")
def jpeg(gray) -> bytes:
    return encode_photo(gray, "JPEG")
