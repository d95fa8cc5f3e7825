"""A sample of requests with their answers, where a model's logging_config asks for it."""

import grpc
import pytest

from tests.serving.server.conftest import NAME, Client, model_config, model_configs


def logging_config(prefix, rate=1.0, kind="tfrecord"):
    collector = f'log_collector_config {{ type: "{kind}" filename_prefix: "{prefix}" }}'
    return f"logging_config {{ {collector} sampling_config {{ sampling_rate: {rate} }} }}"


def records(folder):
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    paths = sorted(map(str, folder.glob("*.tfrecord")))
    return [PredictionLog.FromString(record) for record in tf.data.TFRecordDataset(paths).as_numpy_iterator()]


@pytest.fixture
def client(serve, publish, tiny_models):
    publish(tiny_models["one"], "3")
    server = serve()
    server.wait_until_available(20)
    return Client(server.port)


def test_requests_are_logged_from_the_config_that_asks_for_it_to_the_one_that_does_not(client, base_path, tmp_path):
    import tensorflow as tf

    client.ab()
    client.reload(model_configs(model_config(NAME, base_path, logging_config(tmp_path / "requests"))))
    client.ab(lightness=40.0)
    with pytest.raises(grpc.RpcError):
        client.ab(signature="paint")
    client.reload(model_configs(model_config(NAME, base_path)))
    client.ab()
    [record] = records(tmp_path)
    assert record.log_metadata.model_spec.version.value == 3
    assert record.log_metadata.sampling_config.sampling_rate == 1.0
    assert tf.make_ndarray(record.predict_log.request.inputs["L"]).ravel().tolist() == [40.0]
    assert list(record.predict_log.response.outputs["ab"].float_val) == pytest.approx([8, -12])


def test_a_share_of_the_requests_is_logged(client, base_path, tmp_path):
    client.reload(model_configs(model_config(NAME, base_path, logging_config(tmp_path / "none", rate=0.0))))
    client.ab()
    assert list(tmp_path.glob("*.tfrecord")) == []
    client.reload(model_configs(model_config(NAME, base_path, logging_config(tmp_path / "half", rate=0.5))))
    for _ in range(60):
        client.ab()
    assert 5 < len(records(tmp_path)) < 55  # outside once in 10^11 runs


def test_a_log_that_cannot_be_written_fails_no_request(client, base_path, tmp_path, caplog):
    client.reload(model_configs(model_config(NAME, base_path, logging_config(tmp_path / "nowhere" / "requests"))))
    for _ in range(2):
        assert client.ab() == pytest.approx([10, -15])
    assert caplog.text.count("requests are logged no more") == 1


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        (logging_config("/logs/x", kind="elastic"), "NOT_FOUND", "Cannot find LogCollector::Factory for type: elastic"),
        (logging_config("logs/x"), "INVALID_ARGUMENT", "filename_prefix must be an absolute path"),
        (logging_config("/logs/x", rate=2), "INVALID_ARGUMENT", "sampling_rate must be from 0 to 1, received 2"),
    ],
)
def test_a_logging_config_that_cannot_be_is_refused(client, base_path, config, code, words):
    with pytest.raises(grpc.RpcError) as caught:
        client.reload(model_configs(model_config(NAME, base_path, config)))
    assert caught.value.code().name == code
    assert words in caught.value.details()


def test_a_reload_tells_what_metrics_it_increased(client, base_path, tiny_models, tmp_path):
    from google.protobuf import text_format
    from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "1").symlink_to(tiny_models["two"])
    text = model_configs(model_config(NAME, base_path), model_config("second", tmp_path / "second"))
    request = ReloadConfigRequest(
        config=text_format.Parse(text, ModelServerConfig()),
        metric_names=["/tensorflow/cc/saved_model/load_attempt_count"],
    )
    [metric] = client.model.HandleReloadConfigRequest(request, timeout=30).metric
    assert (metric.name, metric.int64_value_increase) == ("/tensorflow/cc/saved_model/load_attempt_count", 1)
