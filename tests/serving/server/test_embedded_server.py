"""The embedded server over real gRPC, asked with TensorFlow Serving's own messages and stubs."""

import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest

from serving.server import EmbeddedServer, ServeError
from serving.server.version_manager import State
from tests.serving.server.conftest import Client


@pytest.fixture(scope="module")
def client(tiny_models, tmp_path_factory):
    """A client of a server that serves the model `one` as version 3 all along."""
    base_path = tmp_path_factory.mktemp("served")
    (base_path / "3").symlink_to(tiny_models["one"])
    with EmbeddedServer("colorizer", base_path) as server:
        server.wait_until_available(30)
        yield Client(server.port)


def pixel(lightness=50.0):
    return np.full((1, 1, 1, 1), lightness, np.float32)


def proto(**kwargs):
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    shape = kwargs.pop("shape")
    made = TensorProto(**kwargs)
    for size in shape:
        made.tensor_shape.dim.add().size = size
    return made


def fails_with(code, call, *words):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value
    for word in words:
        assert word in caught.value.details()


def test_importing_the_server_does_not_import_tensorflow():
    code = "import sys, serving.server; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_predict_gives_the_models_values_for_every_pixel(client):
    import tensorflow as tf

    lightness = np.linspace(0, 100, 2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3, 1)
    answer = client.predict(L=lightness)
    ab = tf.make_ndarray(answer.outputs["ab"])
    np.testing.assert_allclose(ab, lightness / 100 * np.array([20, -30], np.float32), rtol=1e-5)
    assert answer.outputs["ab"].tensor_content
    assert answer.model_spec.name == "colorizer"
    assert answer.model_spec.version.value == 3
    assert answer.model_spec.signature_name == "serving_default"


def test_predict_runs_the_signature_and_the_version_that_are_named(client):
    answer = client.prediction.Predict(describe_request(client), timeout=20)
    assert answer.outputs["recipe"].string_val == [b"tiny", b"tiny"]
    assert answer.outputs["fingerprint"].string_val == [b"tiny", b"tiny"]
    assert np.frombuffer(answer.outputs["size"].tensor_content, np.int32).tolist() == [32, 32]
    assert answer.model_spec.signature_name == "describe"


def describe_request(client, **kwargs):
    import tensorflow as tf

    request = client.request(signature="describe", version=3, **kwargs)
    request.inputs["name"].CopyFrom(tf.make_tensor_proto([b"", b""]))
    return request


def test_the_output_filter_chooses_the_outputs(client):
    answer = client.prediction.Predict(describe_request(client, outputs=["stride"]), timeout=20)
    assert set(answer.outputs) == {"stride"}


@pytest.mark.parametrize("outputs", [["colour"], ["ab", "ab"]])
def test_an_output_filter_that_does_not_fit_is_refused(client, outputs):
    fails_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: client.ab(outputs=outputs), outputs[0])


def test_values_may_come_as_a_list_or_as_one_repeated_value(client):
    import tensorflow as tf

    for values in ([40.0, 40.0], [40.0]):
        answer = client.predict(L=proto(dtype=1, float_val=values, shape=[1, 2, 1, 1]))
        np.testing.assert_allclose(tf.make_ndarray(answer.outputs["ab"]).ravel(), [8, -12, 8, -12], rtol=1e-5)


def test_an_empty_batch_gives_an_empty_answer(client):
    answer = client.predict(L=np.zeros((0, 8, 8, 1), np.float32))
    assert [dim.size for dim in answer.outputs["ab"].tensor_shape.dim] == [0, 8, 8, 2]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (dict, ["Missing but required: {L}"]),
        (lambda: {"L": pixel(), "mask": pixel()}, ["Sent extra: {mask}"]),
        (lambda: {"l": pixel()}, ["Sent extra: {l}", "Missing but required: {L}"]),
        (lambda: {"L": pixel().astype(np.float64)}, ["'L'", "float32", "float64"]),
        (lambda: {"L": np.array([b"x"])}, ["'L'", "float32", "string"]),
        (lambda: {"L": proto(dtype=99, shape=[])}, ["'L'", "99"]),
        (lambda: {"L": np.zeros((1, 4, 4, 3), np.float32)}, ["'L'", "(None, None, None, 1)", "[1, 4, 4, 3]"]),
        (lambda: {"L": np.zeros((4, 4, 1), np.float32)}, ["'L'", "[4, 4, 1]"]),
        (lambda: {"L": proto(dtype=1, shape=[1, -1, 1, 1], float_val=[1.0])}, ["'L'", "fully known"]),
        (lambda: {"L": proto(dtype=1, shape=[1, 2, 1, 1], tensor_content=b"1234")}, ["'L'", "8 bytes", "received 4"]),
        (lambda: {"L": proto(dtype=1, shape=[1, 2, 1, 1], float_val=[1.0] * 3)}, ["'L'", "2 values", "received 3"]),
        (lambda: {"L": proto(dtype=1, shape=[1, 2, 1, 1])}, ["'L'", "2 values", "received 0"]),
        (lambda: {"L": proto(dtype=1, shape=[10**6, 10**6, 10**6, 1], float_val=[1.0])}, ["'L'", "too large"]),
    ],
)
def test_inputs_that_do_not_fit_the_signature_are_refused_by_name(client, inputs, words):
    fails_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: client.predict(**inputs()), *words)


def test_what_is_not_served_is_not_found_in_tensorflow_servings_words(client):
    not_found = grpc.StatusCode.NOT_FOUND
    fails_with(not_found, lambda: client.ab(name="painter"), "Servable not found for request: Latest(painter)")
    fails_with(not_found, lambda: client.ab(version=4), "Servable not found for request: Specific(colorizer, 4)")
    fails_with(not_found, lambda: client.status(name="painter"), "Could not find any versions of model painter")
    fails_with(not_found, lambda: client.status(version=4), "Could not find version 4 of model colorizer")


def test_a_signature_that_is_not_there_is_refused_with_those_that_are(client):
    fails_with(
        grpc.StatusCode.FAILED_PRECONDITION,
        lambda: client.ab(signature="paint"),
        'Serving signature key "paint" not found',
        "{describe, serving_default}",
    )


def test_a_request_without_a_model_is_refused(client):
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    invalid = grpc.StatusCode.INVALID_ARGUMENT
    fails_with(invalid, lambda: client.prediction.Predict(PredictRequest(), timeout=20), "Missing ModelSpec")
    fails_with(invalid, lambda: client.ab(name=""), "no name")
    request = client.request(L=pixel())
    request.model_spec.version_label = "canary"
    fails_with(invalid, lambda: client.prediction.Predict(request, timeout=20), "canary")


def test_words_too_long_for_a_header_are_cut(client):
    fails_with(grpc.StatusCode.NOT_FOUND, lambda: client.ab(name="x" * 100_000), "Latest(xxx")


def test_an_error_inside_the_model_comes_back_with_its_own_code(serve, publish, base_path, tmp_path):
    import tensorflow as tf

    class Picky(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def halves(self, x):
            return {"halves": tf.reshape(x, [2, -1])}

    picky = Picky()
    tf.saved_model.save(picky, str(tmp_path / "picky"), signatures=picky.halves)
    publish(tmp_path / "picky", "1")
    server = serve()
    server.wait_until_available(20)
    client = Client(server.port)
    assert client.predict(x=np.ones(4, np.float32)).outputs["halves"].tensor_shape.dim[1].size == 2
    fails_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: client.predict(x=np.ones(3, np.float32)), "reshape")


def test_messages_far_above_grpcs_usual_limit_pass(client):
    answer = client.predict(L=np.full((1, 1500, 1500, 1), 50, np.float32))
    assert len(answer.outputs["ab"].tensor_content) == 1500 * 1500 * 2 * 4


def test_metadata_holds_the_signatures(client):
    from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap

    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "colorizer"
    answer = client.prediction.GetModelMetadata(request, timeout=20)
    assert answer.model_spec.version.value == 3
    signatures = SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert [dim.size for dim in default.inputs["L"].tensor_shape.dim] == [-1, -1, -1, 1]
    assert set(default.outputs) == {"ab"}

    invalid = grpc.StatusCode.INVALID_ARGUMENT
    request.metadata_field[:] = ["weights"]
    fails_with(invalid, lambda: client.prediction.GetModelMetadata(request, timeout=20), "weights")
    request.metadata_field[:] = []
    fails_with(invalid, lambda: client.prediction.GetModelMetadata(request, timeout=20), "metadata_field")


def test_status_tells_the_state_of_each_version(client):
    from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

    for status in (client.status(), client.status(version=3)):
        assert [(entry.version, entry.state) for entry in status] == [(3, ModelVersionStatus.AVAILABLE)]
        assert status[0].status.error_code == 0
    assert [state.value for state in State] == [
        ModelVersionStatus.State.Value(state.name) for state in State
    ]  # the wire's numbers


def test_calls_that_are_not_supported_say_so(client):
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
    from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest

    unimplemented = grpc.StatusCode.UNIMPLEMENTED
    fails_with(unimplemented, lambda: client.prediction.Classify(ClassificationRequest(), timeout=20), "Classify")
    fails_with(unimplemented, lambda: client.model.HandleReloadConfigRequest(ReloadConfigRequest(), timeout=20))


def test_switching_versions_under_load_fails_no_request(serve, publish, tiny_models):
    publish(tiny_models["one"], "1")
    server = serve()
    server.wait_until_available(20)
    client = Client(server.port)
    colour_of_version = {1: [10, -15], 2: [1, 2], 3: [10, -15]}
    failures, answered, stop = [], {1: 0, 2: 0, 3: 0}, threading.Event()

    def ask():
        import tensorflow as tf

        while not stop.is_set():
            try:
                answer = client.predict(L=np.full((1, 64, 64, 1), 50, np.float32))
                version = answer.model_spec.version.value
                ab = tf.make_ndarray(answer.outputs["ab"])
                np.testing.assert_allclose(ab[0, 0, 0], colour_of_version[version], rtol=1e-5)
                answered[version] += 1
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version, model in ((2, "two"), (3, "one")):
        time.sleep(0.3)
        publish(tiny_models[model], str(version))
        server.wait_until_available(20, version=version)
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(answered.values()), answered
    assert client.ab() == pytest.approx([10, -15])


def test_a_broken_new_version_leaves_the_old_one_serving_and_ends_with_its_error(
    serve, publish, base_path, tiny_models
):
    from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

    publish(tiny_models["one"], "1")
    server = serve(max_num_load_retries=1, load_retry_interval_micros=10_000)
    server.wait_until_available(20)
    (base_path / "2").mkdir()
    (base_path / "2" / "saved_model.pb").write_bytes(b"this is no model")
    with pytest.raises(ServeError, match="version 2"):
        server.wait_until_available(20, version=2)
    client = Client(server.port)
    newest, oldest = client.status()
    assert (newest.version, newest.state) == (2, ModelVersionStatus.END)
    assert newest.status.error_code != 0
    assert "not a SavedModel" in newest.status.error_message
    assert (oldest.version, oldest.state) == (1, ModelVersionStatus.AVAILABLE)
    assert client.ab() == pytest.approx([10, -15])


def test_a_model_whose_variables_are_missing_does_not_become_available(serve, publish, tiny_models):
    folder = publish(tiny_models["one"], "incoming")
    (folder / "variables" / "variables.index").unlink()
    folder.rename(folder.with_name("1"))
    server = serve(max_num_load_retries=0)
    with pytest.raises(ServeError, match="version 1 is END"):
        server.wait_until_available(20)


def test_removing_the_newest_version_brings_the_older_one_back(serve, publish, tiny_models):
    publish(tiny_models["one"], "1")
    newest = publish(tiny_models["two"], "2")
    server = serve()
    assert server.wait_until_available(20) == 2
    client = Client(server.port)
    newest.rename(newest.with_name("withdrawn"))
    server.wait_until_available(20, version=1)
    assert server._versions.wait_for(lambda statuses: statuses[-1].state is State.END, 5)
    assert client.ab() == pytest.approx([10, -15])
    fails_with(grpc.StatusCode.NOT_FOUND, lambda: client.ab(version=2), "Specific(colorizer, 2)")


def write_counting_model(folder, warmup_inputs):
    """A model that returns how often it was called; each of `warmup_inputs` is one recorded request."""
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    class Counting(tf.Module):
        def __init__(self):
            super().__init__()
            self.calls = tf.Variable(0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def count(self, x):
            return {"calls": self.calls.assign_add(1)}

    counting = Counting()
    tf.saved_model.save(counting, str(folder), signatures=counting.count)
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for value in warmup_inputs:
            log = PredictionLog()
            log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def calls(client):
    answer = client.predict(x=np.ones(1, np.float32))
    return int(np.frombuffer(answer.outputs["calls"].tensor_content, np.int32)[0])


def test_warmup_requests_are_replayed_before_a_version_is_available(serve, publish, tmp_path):
    write_counting_model(tmp_path / "counting", [np.ones(1, np.float32)] * 3)
    publish(tmp_path / "counting", "1")
    server = serve()
    server.wait_until_available(20)
    assert calls(Client(server.port)) == 4


def test_warmup_can_be_turned_off(serve, publish, tmp_path):
    write_counting_model(tmp_path / "counting", [np.ones(1, np.float32)] * 3)
    publish(tmp_path / "counting", "1")
    server = serve(enable_model_warmup=False)
    server.wait_until_available(20)
    assert calls(Client(server.port)) == 1


def test_a_warmup_request_that_fails_keeps_a_version_from_being_available(serve, publish, tmp_path):
    write_counting_model(tmp_path / "counting", [np.ones(1, np.float32), np.array([b"text"])])
    publish(tmp_path / "counting", "1")
    server = serve(max_num_load_retries=0)
    with pytest.raises(ServeError, match="request 2 failed: INVALID_ARGUMENT"):
        server.wait_until_available(20)


def test_before_a_version_is_there_predict_is_not_found_and_then_it_is_served(serve, publish, tiny_models):
    server = serve()
    client = Client(server.port)
    fails_with(grpc.StatusCode.NOT_FOUND, client.ab, "Latest(colorizer)")
    fails_with(grpc.StatusCode.NOT_FOUND, client.status, "Could not find any versions")
    with pytest.raises(ServeError, match="nothing under"):
        server.wait_until_available(0.1)
    publish(tiny_models["two"], "1")
    assert server.wait_until_available(20) == 1
    assert client.ab() == pytest.approx([1, 2])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_two_servers_cannot_share_a_port(serve, host):
    server = serve(host=host)
    with pytest.raises(ServeError, match=f"{server.port}: the port is in use"):
        serve(host=host, port=server.port)


def test_a_base_path_that_is_not_there_and_a_rest_port_are_refused(tmp_path):
    with pytest.raises(ServeError, match="nowhere"):
        EmbeddedServer("colorizer", tmp_path / "nowhere").start()
    with pytest.raises(ServeError, match="rest_api_port=8501"):
        EmbeddedServer("colorizer", tmp_path, rest_api_port=8501)


def test_stop_lets_a_running_request_finish_and_refuses_new_ones(serve, publish, tmp_path):
    import tensorflow as tf

    class Slow(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="seconds")])
        def wait(self, seconds):
            end = tf.timestamp() + tf.cast(seconds, tf.float64)
            _, turns = tf.while_loop(
                lambda now, turns: now < end, lambda now, turns: (tf.timestamp(), turns + 1), [tf.timestamp(), 0]
            )
            return {"turns": turns}

    slow = Slow()
    tf.saved_model.save(slow, str(tmp_path / "slow"), signatures=slow.wait)
    publish(tmp_path / "slow", "1")
    server = serve()
    server.wait_until_available(20)
    client = Client(server.port)
    client.predict(seconds=np.float32(0.01))
    running = client.prediction.Predict.future(client.request(seconds=np.float32(1.0)), timeout=20)
    time.sleep(0.3)
    stopped = []
    stopper = threading.Thread(target=lambda: stopped.append(server.stop(10)))
    stopper.start()
    time.sleep(0.2)
    fails_with(grpc.StatusCode.UNAVAILABLE, lambda: Client(server.port).predict(seconds=np.float32(0.01)))
    assert running.result().outputs["turns"].dtype
    stopper.join()
    assert stopped == [True]
    assert {status.state for status in server.statuses()} == {State.END}
