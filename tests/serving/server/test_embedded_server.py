"""The embedded server over real gRPC, asked with TensorFlow Serving's own messages and stubs."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import grpc
import httpx
import numpy as np
import pytest

from benchmarks.free_port import free_port
from serving.server import EmbeddedServer, ServeError, ServerOptions
from serving.server.version_status import ServableState
from tests.serving.server.conftest import NAME, Client, model_config, model_configs


@pytest.fixture(scope="module")
def client(tiny_models, tmp_path_factory):
    """A client of a server that serves the model `one` as version 3 all along."""
    base_path = tmp_path_factory.mktemp("served")
    (base_path / "3").symlink_to(tiny_models["one"])
    with EmbeddedServer(ServerOptions("colorizer", base_path)) as server:
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
    assert len(answer.outputs["ab"].float_val) == ab.size
    assert not answer.outputs["ab"].tensor_content
    assert answer.model_spec.name == "colorizer"
    assert answer.model_spec.version.value == 3
    assert answer.model_spec.signature_name == "serving_default"


def test_numbers_come_as_raw_bytes_where_the_server_is_told_so(serve, publish, tiny_models):
    publish(tiny_models["one"], "1")
    server = serve(enable_serialization_as_tensor_content=True)
    server.wait_until_available(20)
    ab = Client(server.port).predict(L=pixel()).outputs["ab"]
    assert not ab.float_val
    assert np.frombuffer(ab.tensor_content, np.float32).tolist() == pytest.approx([10, -15])


def test_values_may_come_as_a_list_or_as_one_repeated_value(client):
    import tensorflow as tf

    for values in ([40.0, 40.0], [40.0], [40.0, 40.0, 90.0]):
        answer = client.predict(L=proto(dtype=1, float_val=values, shape=[1, 2, 1, 1]))
        np.testing.assert_allclose(tf.make_ndarray(answer.outputs["ab"]).ravel(), [8, -12, 8, -12], rtol=1e-5)


def test_a_shape_without_values_is_filled_with_zeros(client):
    answer = client.predict(L=proto(dtype=1, shape=[1, 2, 1, 1]))
    assert list(answer.outputs["ab"].float_val) == [0.0] * 4


def test_an_empty_batch_gives_an_empty_answer(client):
    answer = client.predict(L=np.zeros((0, 8, 8, 1), np.float32))
    assert [dim.size for dim in answer.outputs["ab"].tensor_shape.dim] == [0, 8, 8, 2]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (dict, ["Missing but required: {L}"]),
        (lambda: {"L": pixel(), "mask": pixel()}, ["Sent extra: {mask}"]),
        (lambda: {"L": pixel().astype(np.float64)}, ["Expects arg[0] to be float but double is provided (input L)"]),
        (lambda: {"L": np.array([b"x"])}, ["Expects arg[0] to be float but string is provided"]),
        (lambda: {"L": proto(dtype=99, shape=[])}, ["tensor parsing error: L", "99"]),
        (lambda: {"L": proto(dtype=1, shape=[1, -1, 1, 1], float_val=[1.0])}, ["tensor parsing error: L", "known"]),
        (lambda: {"L": proto(dtype=1, shape=[1, 2, 1, 1], tensor_content=b"1234")}, ["L: ", "8 bytes", "received 4"]),
        (lambda: {"L": proto(dtype=1, shape=[10**6, 10**6, 10**6, 1], float_val=[1.0])}, ["L: ", "too large"]),
        (lambda: {"L": proto(dtype=1, shape=[10**6, 10**6, 10**6, 1])}, ["L: ", "too large"]),
    ],
)
def test_inputs_that_do_not_fit_the_signature_are_refused_by_name(client, inputs, words):
    fails_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: client.predict(**inputs()), *words)


def test_words_too_long_for_a_header_are_cut(client):
    fails_with(grpc.StatusCode.NOT_FOUND, lambda: client.ab(name="x" * 100_000), "Latest(xxx", "x...TRUNCATED")


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
    assert len(answer.outputs["ab"].float_val) == 1500 * 1500 * 2


def test_status_tells_the_state_of_each_version(client):
    from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

    for status in (client.status(), client.status(version=3)):
        assert [(entry.version, entry.state) for entry in status] == [(3, ModelVersionStatus.AVAILABLE)]
        assert status[0].status.error_code == 0
    assert [state.value for state in ServableState] == [
        ModelVersionStatus.State.Value(state.name) for state in ServableState
    ]  # the wire's numbers


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
    assert server.models.wait_for("colorizer", lambda statuses: statuses[-1].state is ServableState.END, 5)
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
    return int(answer.outputs["calls"].int_val[0])


def test_warmup_requests_are_replayed_before_a_version_is_available(serve, publish, tmp_path):
    write_counting_model(tmp_path / "counting", [np.ones(1, np.float32)] * 3)
    publish(tmp_path / "counting", "1")
    server = serve()
    server.wait_until_available(20)
    assert calls(Client(server.port)) == 4
    latency = ':tensorflow:serving:model_warmup_latency_count{model_path="'
    (line,) = (line for line in server.models.metrics.exposition().decode().splitlines() if line.startswith(latency))
    assert line.endswith('/1",status="OK"} 1')


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


def test_the_ports_open_when_a_version_is_available_also_where_the_base_path_comes_later(
    serve, base_path, tiny_models, tmp_path
):
    base_path.rmdir()
    server = serve(rest_api_port=0, grpc_socket_path=tmp_path / "grpc.sock")
    for port in (server.port, server.rest_api_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
    assert not (tmp_path / "grpc.sock").exists()
    with pytest.raises(ServeError, match="nothing under"):
        server.wait_until_available(0.1)
    assert not server.is_open()
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "1").symlink_to(tiny_models["two"])
    (tmp_path / "incoming").rename(base_path)
    assert server.wait_until_available(20) == 1
    assert server.is_open()
    assert Client(server.port).ab() == pytest.approx([1, 2])
    assert httpx.get(f"http://127.0.0.1:{server.rest_api_port}/v1/models/colorizer").status_code == 200


def test_a_model_that_cannot_be_loaded_at_the_start_keeps_the_ports_closed_and_says_why(serve, base_path):
    (base_path / "1").mkdir()
    (base_path / "1" / "saved_model.pb").write_bytes(b"no model")
    server = serve(max_num_load_retries=0)
    with pytest.raises(ServeError, match=r"version 1 is END .*is not a SavedModel"):
        server.wait_until_available(20)
    with pytest.raises(ServeError, match="is not a SavedModel"):
        server.is_open()


def test_both_families_of_addresses_are_answered(serve, publish, tiny_models):
    publish(tiny_models["one"], "1")
    server = serve(host="0.0.0.0", rest_api_port=0)
    server.wait_until_available(20)
    for address in ["127.0.0.1", *(["[::1]"] if socket.has_dualstack_ipv6() else [])]:
        assert Client(f"{address}:{server.port}").ab() == pytest.approx([10, -15])
        assert httpx.get(f"http://{address}:{server.rest_api_port}/v1/models/colorizer").status_code == 200


def test_a_rest_port_that_is_the_grpc_port_is_left_out(serve, publish, tiny_models, caplog):
    publish(tiny_models["one"], "1")
    port = free_port()
    server = serve(port=port, rest_api_port=port)
    server.wait_until_available(20)
    assert server.rest_api_port is None
    assert "Skipped exporting HTTP/REST API" in caplog.text
    assert Client(port).ab() == pytest.approx([10, -15])


def test_a_base_path_may_lie_on_any_file_system_of_tensorflow(tiny_models, base_path):
    import tensorflow as tf

    (base_path / "7").symlink_to(tiny_models["two"])
    base = "ram://test_a_base_path"
    for folder, _, files in os.walk(tiny_models["one"]):
        there = f"{base}/3/{os.path.relpath(folder, tiny_models['one'])}".removesuffix("/.")
        tf.io.gfile.makedirs(there)
        for file in files:
            with tf.io.gfile.GFile(f"{there}/{file}", "wb") as copy:
                copy.write(pathlib.Path(folder, file).read_bytes())
    for address, version, ab in ((base, 3, [10, -15]), (f"file://{base_path}", 7, [1, 2])):
        with EmbeddedServer(ServerOptions(NAME, address)) as server:
            assert server.wait_until_available(30) == version
            assert Client(server.port).ab() == pytest.approx(ab)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_two_servers_cannot_share_a_port(serve, publish, tiny_models, host):
    publish(tiny_models["one"], "1")
    server = serve(host=host)
    server.wait_until_available(20)
    with pytest.raises(ServeError, match=f"cannot serve gRPC on .*:{server.port}: Address already in use"):
        serve(host=host, port=server.port)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "neither a model base path nor a model config file"),
        ({"model_config_file": "nowhere.config"}, "cannot read nowhere.config"),
        ({"model_base_path": ".", "batching_parameters_file": "b"}, "without setting enable_batching"),
        ({"model_base_path": ".", "grpc_channel_arguments": "grpc.x"}, "expected name=value, received 'grpc.x'"),
        ({"model_base_path": ".", "mixed_precision": "float8"}, "must be bfloat16 or nothing, got 'float8'"),
        (
            {"model_base_path": ".", "tensorflow_session_parallelism": 1, "tensorflow_intra_op_parallelism": 1},
            "You cannot configure all",
        ),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(ServeError) as caught:
        EmbeddedServer(ServerOptions("colorizer", **arguments)).start()
    assert words in str(caught.value)


def test_rest_and_grpc_answer_side_by_side_and_prometheus_reads_what_both_count(serve, publish, tiny_models, tmp_path):
    publish(tiny_models["one"], "1")
    (tmp_path / "monitoring.config").write_text('prometheus_config { enable: true path: "/metrics" }')
    server = serve(rest_api_port=0, monitoring_config_file=tmp_path / "monitoring.config")
    server.wait_until_available(20)
    assert Client(server.port).ab() == pytest.approx([10, -15])
    rest = f"http://localhost:{server.rest_api_port}"
    answer = httpx.post(f"{rest}/v1/models/colorizer:predict", json={"instances": [[[[50.0]]]]})
    assert answer.json()["predictions"][0][0][0] == pytest.approx([10, -15])
    metrics = httpx.get(f"{rest}/metrics").text
    assert ':tensorflow:serving:request_count{model_name="colorizer",status="OK"} 2' in metrics
    assert 'API="Predict",entrypoint="GRPC"' in metrics
    assert 'status="success"} 1' in metrics


def test_a_unix_socket_answers_too(serve, publish, tiny_models, tmp_path):
    publish(tiny_models["one"], "1")
    server = serve(grpc_socket_path=tmp_path / "grpc.sock")
    server.wait_until_available(20)
    assert Client(f"unix:{tmp_path / 'grpc.sock'}").ab() == pytest.approx([10, -15])
    assert Client(server.port).ab() == pytest.approx([10, -15])


def test_channel_arguments_reach_the_grpc_server(serve, publish, tiny_models):
    publish(tiny_models["one"], "1")
    server = serve(grpc_channel_arguments="grpc.max_receive_message_length=1000,grpc.default_authority=me")
    server.wait_until_available(20)
    client = Client(server.port)
    assert client.ab() == pytest.approx([10, -15])
    fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: client.predict(L=np.zeros((1, 32, 32, 1), np.float32)))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a key and a certificate for localhost signed by it, as PEM."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new_key, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *new_key, "-subj", "/CN=localhost", "-keyout", "own.key", "-out", "own.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
    openssl("x509", "-req", "-in", "own.csr", *signed, "-out", "own.crt")
    return {name: (folder / name).read_text() for name in ("ca.crt", "own.key", "own.crt")}


def test_tls_is_spoken_and_clients_without_a_certificate_are_sent_away_if_it_is_wanted(
    serve, publish, tiny_models, certificates, tmp_path
):
    fields = {"server_key": "own.key", "server_cert": "own.crt", "custom_ca": "ca.crt"}
    text = "\n".join(f"{field}: {json.dumps(certificates[name])}" for field, name in fields.items())
    (tmp_path / "ssl.config").write_text(text + "\nclient_verify: true")
    publish(tiny_models["one"], "1")
    server = serve(ssl_config_file=tmp_path / "ssl.config")
    server.wait_until_available(20)
    authority, key, certificate = (certificates[name].encode() for name in ("ca.crt", "own.key", "own.crt"))
    assert Client(server.port, grpc.ssl_channel_credentials(authority, key, certificate)).ab() == pytest.approx(
        [10, -15]
    )
    stranger = Client(server.port, grpc.ssl_channel_credentials(authority))
    fails_with(grpc.StatusCode.UNAVAILABLE, stranger.ab)
    fails_with(grpc.StatusCode.UNAVAILABLE, Client(server.port).ab)


def test_a_config_file_is_read_again_and_a_broken_one_changes_nothing(tiny_models, base_path, tmp_path, caplog):
    (base_path / "1").symlink_to(tiny_models["one"])
    (base_path / "2").symlink_to(tiny_models["two"])
    file = tmp_path / "models.config"

    def write(*entries):
        (tmp_path / "new").write_text(model_configs(*entries))
        (tmp_path / "new").rename(file)

    def eventually(condition):
        deadline = time.monotonic() + 10
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert condition()

    def label(version):
        return f'version_labels {{ key: "stable" value: {version} }} model_version_policy {{ all {{}} }}'

    write(model_config("first", base_path))
    with EmbeddedServer(
        ServerOptions(
            model_config_file=file, model_config_file_poll_wait_seconds=0.05, file_system_poll_wait_seconds=0.05
        )
    ) as server:
        assert server.wait_until_available(20) == 2
        client = Client(server.port)
        # Version 1 is not available when the file is read first: the label waits for it.
        write(model_config("first", base_path, "model_version_policy { all {} }"))
        eventually(lambda: client.states("first") == {2: "AVAILABLE", 1: "AVAILABLE"})
        write(model_config("first", base_path, label(1)), model_config("second", base_path))
        eventually(lambda: client.states("second") == {2: "AVAILABLE"})
        assert client.ab(name="first", label="stable") == pytest.approx([10, -15])
        file.write_text("model_config_list {{{")
        eventually(lambda: "Invalid protobuf file" in caplog.text)
        assert client.ab(name="second") == pytest.approx([1, 2])
        write(model_config("first", base_path))
        eventually(lambda: client.states("second") == {2: "END"})


def test_a_label_for_a_version_that_is_not_available_keeps_the_server_from_starting(tiny_models, base_path, tmp_path):
    file = tmp_path / "models.config"
    file.write_text(model_configs(model_config("first", base_path, 'version_labels { key: "stable" value: 1 }')))
    with pytest.raises(ServeError, match="Request to assign label to version 1 of model first"):
        EmbeddedServer(ServerOptions(model_config_file=file)).start()
    (base_path / "2").symlink_to(tiny_models["two"])
    with EmbeddedServer(
        ServerOptions(model_config_file=file, allow_version_labels_for_unavailable_models=True)
    ) as server:
        server.wait_until_available(20)
        fails_with(
            grpc.StatusCode.NOT_FOUND,
            lambda: Client(server.port).ab(name="first", label="stable"),
            "Servable not found for request: Specific(first, 1)",
        )


def test_a_new_model_that_cannot_be_loaded_is_told_to_who_adds_it(serve, publish, tiny_models, base_path, tmp_path):
    publish(tiny_models["one"], "1")
    server = serve(max_num_load_retries=0)
    server.wait_until_available(20)
    client = Client(server.port)
    (tmp_path / "broken" / "7").mkdir(parents=True)
    (tmp_path / "broken" / "7" / "saved_model.pb").write_bytes(b"no model")
    good = model_config(NAME, base_path)
    broken = model_configs(good, model_config("broken", tmp_path / "broken"))
    words = "1 model(s) did not become available: {{{name: broken version: 7} due to error: "
    fails_with(grpc.StatusCode.UNKNOWN, lambda: client.reload(broken), words, "is not a SavedModel")
    assert client.ab() == pytest.approx([10, -15])
    # A model that is nowhere yet is waited for, as long as the caller waits.
    for name, more in (("nowhere", ""), ("none", "model_version_policy { specific {} }")):
        nowhere = model_configs(good, model_config(name, tmp_path / name, more))
        fails_with(grpc.StatusCode.DEADLINE_EXCEEDED, lambda config=nowhere: client.reload(config, timeout=0.5))
        assert client.ab() == pytest.approx([10, -15])
