"""What becomes of requests when there are too many, when nobody waits for them any more, and when the server stops."""

import shutil
import socket
import threading
import time

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.server.version_status import ServableState
from tests.serving.server.conftest import NAME, Client


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory):
    """A model that is busy for `seconds` and tells how often it was called."""
    import tensorflow as tf

    class Slow(tf.Module):
        def __init__(self):
            super().__init__()
            self.calls = tf.Variable(0)

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="seconds")])
        def work(self, seconds):
            calls = self.calls.assign_add(1)
            end = tf.timestamp() + tf.cast(seconds, tf.float64)
            (now,) = tf.while_loop(lambda now: now < end, lambda now: (tf.timestamp(),), [tf.timestamp()])
            return {"calls": calls + tf.cast(now * 0, tf.int32)}

    slow = Slow()
    folder = tmp_path_factory.mktemp("slow") / "model"
    tf.saved_model.save(slow, str(folder), signatures=slow.work)
    return folder


@pytest.fixture
def slow(serve, base_path, slow_model):
    """Start a server of the slow model; returns it with a client."""

    def slow(**kwargs):
        (base_path / "1").symlink_to(slow_model)
        server = serve(**kwargs)
        server.wait_until_available(30)
        client = Client(server.port)
        assert calls(client) == 1
        return server, client

    return slow


def start(client, seconds, timeout=20.0):
    return client.prediction.Predict.future(client.request(seconds=np.float32(seconds)), timeout=timeout)


def calls(client) -> int:
    return int(start(client, 0).result().outputs["calls"].int_val[0])


def fails_with(code, call, *words):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value
    for word in words:
        assert word in caught.value.details()


def health(client, service=""):
    stub = health_pb2_grpc.HealthStub(client.channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status


def test_what_is_beyond_those_that_run_and_wait_is_refused_and_they_are_answered(slow):
    _, client = slow(grpc_max_threads=1)
    running = start(client, 1.0)
    time.sleep(0.2)
    codes = [request.code() for request in [start(client, 0) for _ in range(16 + 10)]]
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 10
    assert codes.count(grpc.StatusCode.OK) == 16
    assert running.code() is grpc.StatusCode.OK
    assert calls(client) == 1 + 17 + 1


def test_a_request_whose_client_no_longer_waits_is_not_worked_on(slow):
    _, client = slow(grpc_max_threads=1)
    running = start(client, 0.8)
    time.sleep(0.2)
    late = [start(client, 0.01, timeout=0.2) for _ in range(3)]
    cancelled = [start(client, 0.01) for _ in range(3)]
    time.sleep(0.2)
    for request in cancelled:
        request.cancel()
    assert {request.code() for request in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert running.code() is grpc.StatusCode.OK
    assert calls(client) == 1 + 1 + 1


def test_status_metadata_and_health_are_answered_while_all_threads_work(slow):
    server, client = slow(grpc_max_threads=1, enable_grpc_healthcheck_service=True)
    running = [start(client, 0.6) for _ in range(6)]
    time.sleep(0.1)
    assert client.states() == {1: "AVAILABLE"}
    assert health(Client(server.port)) == health_pb2.HealthCheckResponse.SERVING
    assert not all(request.done() for request in running)
    for request in running:
        request.cancel()


def test_clients_that_never_send_their_request_take_no_turn(slow):
    server, client = slow(grpc_max_threads=1)
    with_open_calls = []
    for _ in range(30):
        sending = threading.Event()

        def nothing(sending=sending):
            sending.wait(30)
            yield b""

        stub = client.channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
        with_open_calls.append((stub.future(nothing(), timeout=30), sending))
    time.sleep(0.3)
    other = Client(server.port)
    assert calls(other) == 2
    for call, sending in with_open_calls:
        call.cancel()
        sending.set()


def test_health_serves_while_every_model_has_a_version(serve, publish, base_path, tiny_models):
    publish(tiny_models["one"], "1")
    server = serve(enable_grpc_healthcheck_service=True)
    server.wait_until_available(20)
    client = Client(server.port)
    not_serving, serving = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING
    services = ["", "PredictionService", "ModelService"]
    assert [health(client, service) for service in services] == [serving] * 3
    watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
    assert next(watch).status == serving
    shutil.rmtree(base_path / "1")
    assert next(watch).status == not_serving
    publish(tiny_models["one"], "2")
    assert next(watch).status == serving
    fails_with(grpc.StatusCode.NOT_FOUND, lambda: health(client, "painting"))
    assert server.stop(10)  # in time: the call of the watcher did not keep it
    assert [response.status for response in watch] == [not_serving]


def test_without_the_flag_there_is_no_health_protocol(serve, publish, tiny_models):
    publish(tiny_models["one"], "1")
    server = serve()
    server.wait_until_available(20)
    fails_with(grpc.StatusCode.UNIMPLEMENTED, lambda: health(Client(server.port)))


def test_stop_is_unhealthy_at_once_lets_requests_finish_and_refuses_new_ones(slow):
    server, client = slow(enable_grpc_healthcheck_service=True)
    watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    running = start(client, 1.0)
    time.sleep(0.2)
    stopped = []
    stopper = threading.Thread(target=lambda: stopped.append(server.stop(10)))
    stopper.start()
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    time.sleep(0.1)
    fails_with(grpc.StatusCode.UNAVAILABLE, lambda: calls(Client(server.port)))
    assert running.code() is grpc.StatusCode.OK
    stopper.join()
    assert stopped == [True]
    assert {status.state for status in server.statuses()} == {ServableState.END}


def test_stop_ends_within_its_bound_whatever_still_runs(slow):
    server, client = slow()
    running, as_long = start(client, 3.0), threading.Timer(3.0, lambda: None)
    as_long.start()
    time.sleep(0.2)
    assert not server.stop(0.3)
    assert as_long.is_alive()  # stop() came back before the request was worked on to its end
    assert running.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("localhost", server.port)).close()


@pytest.mark.slow
@pytest.mark.parametrize("enable_batching", [False, True])
def test_twenty_switches_of_version_under_the_load_of_eight_clients_fail_no_request(
    serve, publish, base_path, tiny_models, enable_batching
):
    import tensorflow as tf

    colour_of_model = {"one": [10, -15], "two": [1, 2]}
    publish(tiny_models["two"], "100")
    server = serve(enable_batching=enable_batching)
    server.wait_until_available(20)
    failures, versions_seen, stop = [], set(), threading.Event()

    def ask():
        client = Client(server.port)
        while not stop.is_set():
            try:
                answer = client.predict(L=np.full((1, 16, 16, 1), 50, np.float32))
                version = answer.model_spec.version.value
                expected = colour_of_model["one" if version % 2 else "two"]
                np.testing.assert_allclose(tf.make_ndarray(answer.outputs["ab"])[0, 0, 0], expected, rtol=1e-5)
                versions_seen.add(version)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for version in range(101, 121):
        publish(tiny_models["one" if version % 2 else "two"], str(version))
        server.wait_until_available(60, version=version)
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert versions_seen == set(range(100, 121))
    ended = [status.version for status in server.statuses(NAME) if status.state is ServableState.END]
    assert ended[-1:] in ([118], [119])
