"""Batching as every client of TensorFlow Serving meets it; asked of a real server as `test_contract` tells."""

import os
import threading
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from serving.server import EmbeddedServer, ServerOptions
from tests.serving.server.conftest import Client, model_server

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT


def write_counting_rows_model(folder):
    """Write a model that tells how many rows were run together, after busying itself for `seconds`."""
    import tensorflow as tf

    def vector(name):
        return tf.TensorSpec([None], tf.float32, name)

    class Rows(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "x"), vector("seconds")])
        def rows(self, x, seconds):
            end = tf.timestamp() + tf.cast(tf.reduce_max(seconds), tf.float64)
            (now,) = tf.while_loop(lambda now: now < end, lambda now: (tf.timestamp(),), [tf.timestamp()])
            count = tf.shape(x)[0] + tf.cast(now * 0, tf.int32)
            return {"sum": tf.reduce_sum(x, axis=1), "rows": tf.fill([count], count)}

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])
        def scalar(self, x):
            return {"x": x}

        @tf.function(input_signature=[vector("x")])
        def total(self, x):
            return {"total": tf.reduce_sum(x)}

    rows = Rows()
    signatures = {"serving_default": rows.rows, "scalar": rows.scalar, "total": rows.total}
    tf.saved_model.save(rows, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batching")
    write_counting_rows_model(folder / "rows" / "1")
    (folder / "batching.config").write_text(
        "max_batch_size { value: 4 } batch_timeout_micros { value: 300000 } "
        "num_batch_threads { value: 1 } max_enqueued_batches { value: 1 }"
    )
    return folder


@pytest.fixture(scope="module")
def client(folder):
    with model_server(
        model_name="rows",
        model_base_path=folder / "rows",
        enable_batching=True,
        batching_parameters_file=folder / "batching.config",
    ) as client:
        yield client


def row_request(client, *values, seconds=0.0):
    x = np.float32([values])
    return client.request(name="rows", x=x, seconds=np.full(len(x), seconds, np.float32))


def ask_together(client, requests):
    """The answers to requests sent at once, an error in place of what failed."""
    calls = [client.prediction.Predict.future(request, timeout=30) for request in requests]
    return [call.exception() or call.result() for call in calls]


def ints(answer, name):
    return np.frombuffer(answer.outputs[name].tensor_content, np.int32).tolist() or list(answer.outputs[name].int_val)


def floats(answer, name):
    proto = answer.outputs[name]
    return np.frombuffer(proto.tensor_content, np.float32).tolist() or list(proto.float_val)


def refused(code, call, *words):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value
    for word in words:
        assert word in caught.value.details()


def test_requests_that_arrive_together_run_together_and_get_their_own_rows(client):
    answers = ask_together(client, [row_request(client, value, 1) for value in range(4)])
    assert [floats(answer, "sum") for answer in answers] == [[1], [2], [3], [4]]
    assert [ints(answer, "rows") for answer in answers] == [[4]] * 4
    assert {answer.model_spec.version.value for answer in answers} == {1}


def test_a_request_alone_is_answered_after_the_timeout(client):
    assert ints(client.prediction.Predict(row_request(client, 1.0), timeout=20), "rows") == [1]


def test_more_rows_than_a_batch_holds_are_refused(client):
    x = np.ones((5, 1), np.float32)
    request = client.request(name="rows", x=x, seconds=x[:, 0])
    refused(
        INVALID_ARGUMENT,
        lambda: client.prediction.Predict(request),
        "Task size 5 is larger than maximum input batch size 4",
    )


def test_inputs_without_a_common_first_dimension_are_refused(client):
    uneven = client.request(name="rows", x=np.ones((2, 1), np.float32), seconds=np.zeros(1, np.float32))
    refused(INVALID_ARGUMENT, lambda: client.prediction.Predict(uneven), "must have equal 0th-dimension size")
    scalar = client.request(name="rows", signature="scalar", x=np.float32(1))
    refused(INVALID_ARGUMENT, lambda: client.prediction.Predict(scalar), "must have at least one dimension")


def test_an_output_without_the_batchs_dimension_is_a_failed_precondition(client):
    total = client.request(name="rows", signature="total", x=np.float32([1, 2]))
    refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        lambda: client.prediction.Predict(total),
        "Batched output tensor has 0 dimensions",
    )


def test_a_full_queue_is_unavailable_and_those_in_it_are_answered(client):
    requests = [row_request(client, 1.0, seconds=0.4) for _ in range(24)]
    answers = ask_together(client, requests)
    errors = [answer for answer in answers if isinstance(answer, grpc.RpcError)]
    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    assert all("batch scheduling queue to which this task was submitted is full" in e.details() for e in errors)
    assert len(answers) - len(errors) >= 8


def test_requests_of_other_shapes_do_not_fail_each_other(folder):
    """The real server fails a whole batch of unequal shapes; this one never puts them together."""
    with _embedded(folder) as client:
        requests = [row_request(client, *range(1, width + 1)) for width in (1, 2, 3, 1)]
        answers = ask_together(client, requests)
        assert [floats(answer, "sum") for answer in answers] == [[1], [3], [6], [1]]
        assert [ints(answer, "rows") for answer in answers] == [[2], [1], [1], [2]]


def test_an_empty_batch_gives_an_empty_answer(folder):
    with _embedded(folder) as client:
        request = client.request(name="rows", x=np.zeros((0, 2), np.float32), seconds=np.zeros(0, np.float32))
        answer = client.prediction.Predict(request, timeout=20)
        assert [dim.size for dim in answer.outputs["sum"].tensor_shape.dim] == [0]


def test_switching_versions_leaves_no_threads_behind(folder, tmp_path):
    base_path = tmp_path / "switched"
    base_path.mkdir()
    with EmbeddedServer(
        ServerOptions("rows", base_path, file_system_poll_wait_seconds=0.02, enable_batching=True)
    ) as server:
        client = Client(server.port)
        counts = []
        for version in range(1, 7):
            (base_path / str(version)).symlink_to(folder / "rows" / "1")
            server.wait_until_available(30, version=version)
            answer = client.prediction.Predict(row_request(client, 1.0, 2.0), timeout=20)
            assert (answer.model_spec.version.value, floats(answer, "sum")) == (version, [3])
            counts.append(_native_threads())
    assert max(counts[2:]) <= counts[1]


@contextmanager
def _embedded(folder):
    with EmbeddedServer(
        ServerOptions(
            "rows", folder / "rows", enable_batching=True, batching_parameters_file=folder / "batching.config"
        )
    ) as server:
        server.wait_until_available(60)
        yield Client(server.port)


def _native_threads() -> int:
    return len(os.listdir("/proc/self/task")) - threading.active_count()
