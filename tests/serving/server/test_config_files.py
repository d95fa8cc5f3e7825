"""TensorFlow Serving's text-format files: what is read from them, and what is said of broken ones."""

import subprocess
import sys

import pytest

from serving.server import ServeError
from serving.server.config_files import (
    BatchingParameters,
    SslConfig,
    read_batching_parameters,
    read_metrics_path,
    read_model_server_config,
    read_ssl_config,
)


@pytest.fixture
def written(tmp_path):
    def written(text):
        (tmp_path / "some.config").write_text(text)
        return tmp_path / "some.config"

    return written


def test_reading_the_files_does_not_import_tensorflow():
    code = "import sys, serving.server.config_files; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_batching_parameters_are_those_of_the_file_and_else_tensorflow_servings(written):
    assert read_batching_parameters(written("")) == BatchingParameters(1000, 0, 10)
    text = """
        max_batch_size { value: 8 }  # a comment
        batch_timeout_micros { value: 2000 }
        max_enqueued_batches { value: 100 } num_batch_threads { value: 3 }
        thread_pool_name { value: "threads" }
        allowed_batch_sizes: 2 allowed_batch_sizes: 8
        pad_variable_length_inputs: false
    """
    assert read_batching_parameters(written(text)) == BatchingParameters(8, 2000, 100, 3, (2, 8))
    text = """
        max_batch_size { value: 32 } enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 8 }
    """
    assert read_batching_parameters(written(text)).execution_batch_size == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 8", "Invalid protobuf file"),
        ("max_batch_sizes { value: 8 }", "max_batch_sizes"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive, received 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be positive"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must not be negative"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "last entry was 4; expected 8"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 8 allowed_batch_sizes: 8", "must be positive and increase"),
        ("max_execution_batch_size { value: 8 }", "needs enable_large_batch_splitting"),
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs is not supported"),
    ],
)
def test_batching_parameters_that_cannot_be_are_refused_with_the_files_name(written, text, words):
    with pytest.raises(ServeError, match=r"some\.config") as caught:
        read_batching_parameters(written(text))
    assert words in str(caught.value)


def test_tls_needs_a_key_and_a_certificate(written):
    text = 'server_key: "key\\n" server_cert: "cert" custom_ca: "ca" client_verify: true'
    assert read_ssl_config(written(text)) == SslConfig(b"key\n", b"cert", b"ca", True)
    with pytest.raises(ServeError, match="server_key and server_cert"):
        read_ssl_config(written('server_key: "key"'))


def test_monitoring_is_off_on_at_the_usual_place_or_on_at_another(written):
    assert read_metrics_path(written("")) is None
    assert read_metrics_path(written("prometheus_config { enable: true }")) == ""
    assert read_metrics_path(written('prometheus_config { enable: true path: "/metrics" }')) == "/metrics"
    with pytest.raises(ServeError, match="must begin with '/'"):
        read_metrics_path(written('prometheus_config { enable: true path: "metrics" }'))


def test_a_file_that_is_not_there_or_is_no_text_is_said(tmp_path):
    with pytest.raises(ServeError, match=r"cannot read .*nowhere"):
        read_model_server_config(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ServeError, match="Invalid protobuf file"):
        read_model_server_config(tmp_path / "binary")
