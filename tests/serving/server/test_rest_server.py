"""What the REST server does under load and with clients that stall, go away or send too much."""

import gzip
import http.client
import json
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from serving.server.errors import ServeError

BODY = json.dumps({"instances": np.full((1, 1, 1, 1), 50.0).tolist()}).encode()
PREDICT = "/v1/models/colorizer:predict"


@pytest.fixture(scope="module")
def served_model(tiny_models):
    from serving.server.served_model import ServedModel

    return ServedModel(str(tiny_models["one"]))


@pytest.fixture(scope="module")
def models(served_model, tmp_path_factory):
    """A model server with the model `colorizer`, whose predictions wait while `gate` is cleared, and are counted."""
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    from serving.server.model_server import ModelServer
    from serving.server.options import ServerOptions

    class GatedServer(ModelServer):
        gate = threading.Event()
        begun = 0
        ended = 0

        def predict(self, request, *, as_content=None):
            self.begun += 1
            try:
                assert self.gate.wait(20)
                return super().predict(request, as_content=as_content)
            finally:
                self.ended += 1

    base_path = tmp_path_factory.mktemp("base")
    (base_path / "1").mkdir()
    (base_path / "1" / "saved_model.pb").touch()
    models = GatedServer(lambda folder: served_model, ServerOptions(file_system_poll_wait_seconds=0))
    config = ModelServerConfig()
    config.model_config_list.config.add(name="colorizer", base_path=str(base_path), model_platform="tensorflow")
    models.reload_config(config, timeout=30)
    yield models
    models.stop()


@pytest.fixture
def serve(models):
    """Start REST servers, with the models's gate open and its count at 0."""
    from serving.server.monitoring import ServerMetrics
    from serving.server.rest_server import RestServer

    started = []
    models.gate.set()
    models.begun = models.ended = 0

    def serve(**kwargs) -> httpx.Client:
        server = RestServer(models, metrics=ServerMetrics(), **kwargs)
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.start()}", timeout=30)
        client.server = server
        started.append(client)
        return client

    yield serve
    models.gate.set()
    for client in started:
        client.close()
        client.server.stop(grace=1)


def is_answered(response) -> bool:
    return response.status_code == 200 and np.allclose(response.json()["predictions"], [[[[10.0, -15.0]]]])


def address(client) -> tuple[str, int]:
    return client.base_url.host, client.base_url.port


def request(body=BODY, **headers) -> bytes:
    lines = [f"POST {PREDICT} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def eventually(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ends_within(connection, seconds) -> bool:
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def test_an_answer_that_takes_too_long_is_a_gateway_timeout(serve, models):
    client = serve(timeout_in_ms=100)
    models.gate.clear()
    response = client.post(PREDICT, content=BODY)
    assert response.status_code == 504
    assert response.json() == {"error": "Timed out waiting for notification"}


def test_a_request_beyond_the_threads_and_those_that_wait_is_refused(serve, models):
    client = serve(threads=1)
    models.gate.clear()
    with ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(client.post, PREDICT, content=BODY) for _ in range(9)]
        eventually(lambda: client.server.requests == 9)
        refused = client.post(PREDICT, content=BODY)
        assert refused.status_code == 429
        assert "try again later" in refused.json()["error"]
        models.gate.set()
        assert all(is_answered(answer.result()) for answer in waiting)
    assert is_answered(client.post(PREDICT, content=BODY))


def test_work_that_nobody_waits_for_any_more_is_not_done(serve, models):
    client = serve(threads=1)
    models.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, PREDICT, content=BODY)
        eventually(lambda: models.begun == 1)
        for _ in range(3):
            with socket.create_connection(address(client)) as connection:
                connection.sendall(request())
                eventually(lambda: client.server.requests == 2)
            eventually(lambda: client.server.requests == 1)
        models.gate.set()
        assert is_answered(first.result())
    assert is_answered(client.post(PREDICT, content=BODY))
    assert models.begun == 2


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused_before_all_of_it_is_read(serve, announced):
    client = serve(max_body_bytes=1000)
    body = b"x" * 1001
    response = client.post(PREDICT, content=body if announced else iter([body]))
    assert response.status_code == 413
    assert "1000 bytes" in response.json()["error"]
    assert is_answered(client.post(PREDICT, content=BODY))
    eventually(lambda: client.server.held_bytes == 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(BODY), 200),
        (gzip.compress(b" " * 1_000_000), 413),
        (gzip.compress(BODY)[:-9], 400),
        (zlib.compress(BODY), 400),
        (b"", 400),
    ],
    ids=["whole", "too large", "cut off", "zlib's", "empty"],  # gzip's own bytes hold the time
)
def test_a_gzipped_body_is_read_within_the_same_bound(serve, body, status):
    client = serve(max_body_bytes=1000)
    assert client.post(PREDICT, content=body, headers={"Content-Encoding": "gzip"}).status_code == status


def test_bodies_together_are_bounded_too(serve):
    client = serve(max_body_bytes=1000)
    half = [socket.create_connection(address(client)) for _ in range(4)]
    for connection in half:
        connection.sendall(request(b" " * 1000)[:-1])
    eventually(lambda: client.server.held_bytes == 4 * 999)
    assert client.post(PREDICT, content=BODY).status_code == 429
    for connection in half:
        connection.close()
    eventually(lambda: client.server.held_bytes == 0)
    assert is_answered(client.post(PREDICT, content=BODY))


def test_a_client_that_does_not_end_its_body_is_told_so(serve):
    client = serve(patience=0.2)
    connection = http.client.HTTPConnection(*address(client), timeout=10)
    connection.putrequest("POST", PREDICT)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"{")
    response = connection.getresponse()
    assert response.status == 408
    assert "0.2 s" in json.load(response)["error"]


@pytest.mark.parametrize("head", [b"", b"POST /v1/mod", request()[:-80]])
def test_a_client_that_does_not_end_the_head_of_its_request_is_dropped(serve, head):
    client = serve(patience=0.2)
    with socket.create_connection(address(client)) as connection:
        connection.sendall(head)
        assert ends_within(connection, 5)


def test_a_second_request_that_stalls_is_dropped_too(serve):
    client = serve(patience=0.3)
    with socket.create_connection(address(client)) as connection:
        connection.sendall(request())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"POST /v1")
        assert ends_within(connection, 4)


def test_a_client_that_does_not_read_its_answer_is_dropped(serve, models):
    client = serve(patience=0.3)
    body = json.dumps({"instances": np.full((1, 512, 512, 1), 50.0).tolist()}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(address(client))
        connection.sendall(request(body))
        eventually(lambda: models.begun == 1)
        eventually(lambda: not client.server.connections)


def test_an_answer_is_not_kept_from_a_client_that_works_longer_than_its_patience(serve, models):
    client = serve(patience=0.2)
    models.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, PREDICT, content=BODY)
        time.sleep(0.6)
        models.gate.set()
        assert is_answered(answer.result())


def test_small_answers_are_sent_at_once(serve):
    client = serve()
    assert is_answered(client.post(PREDICT, content=BODY))
    (connection,) = client.server.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_is_no_http_is_refused_and_the_server_lives_on(serve):
    client = serve()
    with socket.create_connection(address(client)) as connection:
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
    assert is_answered(client.post(PREDICT, content=BODY))


def test_an_error_of_the_server_itself_is_an_internal_one(serve, models, monkeypatch):
    client = serve()
    monkeypatch.setattr(models, "predict", lambda request, **_: 1 // 0)
    response = client.post(PREDICT, content=BODY)
    assert response.status_code == 500
    assert "ZeroDivisionError" in response.json()["error"]


def test_stopping_answers_what_runs_and_takes_nothing_new(serve, models):
    client = serve()
    models.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(client.post, PREDICT, content=BODY)
        eventually(lambda: models.begun == 1)
        stopped = pool.submit(client.server.stop, 10)
        eventually(lambda: socket.socket().connect_ex(address(client)) != 0)
        assert not stopped.done()
        models.gate.set()
        assert is_answered(answer.result())
        stopped.result()


def test_stopping_ends_within_its_grace(serve, models):
    client = serve()
    models.gate.clear()
    with socket.create_connection(address(client)) as connection:
        connection.sendall(request())
        eventually(lambda: models.begun == 1)
        client.server.stop(grace=1)
        assert models.ended == 0  # it came back while the request was still worked on


def test_a_port_that_is_taken_is_an_error_that_names_it(serve, models):
    from serving.server.rest_server import RestServer

    host, port = address(serve())
    with pytest.raises(ServeError, match=f"{host}:{port}"):
        RestServer(models, host=host, port=port).start()


def test_two_servers_in_a_process_have_their_own_metrics_and_only_where_they_are_asked_for(serve):
    first, second = serve(prometheus_path="/metrics"), serve(prometheus_path="/metrics")
    first.post(PREDICT, content=BODY)
    assert 'request_count{model_name="colorizer",status="OK"} 1' in first.get("/metrics").text
    assert "colorizer" not in second.get("/metrics").text
    assert serve().get("/metrics").status_code == 404
