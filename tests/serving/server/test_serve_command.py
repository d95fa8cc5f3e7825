"""`tintype serve` as people run it: a process of its own."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.free_port import free_port
from tests.serving.server.conftest import Client, model_config, model_configs

pytestmark = pytest.mark.slow

# Those of main.cc at version 2.19.
FLAGS_OF_TENSORFLOW_MODEL_SERVER = [
    "allow_version_labels_for_unavailable_models", "batching_parameters_file", "enable_batching",
    "enable_grpc_healthcheck_service", "enable_model_warmup", "enable_per_model_batching_parameters",
    "enable_profiler", "enable_serialization_as_tensor_content", "enable_signature_method_name_check",
    "file_system_poll_wait_seconds", "flush_filesystem_caches", "grpc_channel_arguments", "grpc_max_threads",
    "grpc_socket_path", "load_retry_interval_micros", "max_num_load_retries", "mixed_precision", "model_base_path",
    "model_config_file", "model_config_file_poll_wait_seconds", "model_name", "monitoring_config_file",
    "num_load_threads", "num_request_iterations_for_warmup", "num_tflite_interpreters_per_pool", "num_tflite_pools",
    "num_unload_threads", "per_process_gpu_memory_fraction", "platform_config_file", "port", "prefer_tflite_model",
    "remove_unused_fields_from_bundle_metagraph", "rest_api_enable_cors_support", "rest_api_num_threads",
    "rest_api_port", "rest_api_timeout_in_ms", "saved_model_tags", "skip_initialize_tpu", "ssl_config_file",
    "tensorflow_inter_op_parallelism", "tensorflow_intra_op_parallelism", "tensorflow_session_config_file",
    "tensorflow_session_parallelism", "thread_pool_factory_config_file", "use_alts_credentials", "version",
    "xla_cpu_compilation_enabled", "xla_gpu_compilation_enabled",
]  # fmt: skip


class Process:
    """A running `tintype serve` whose lines are read as they come."""

    def __init__(self, *flags):
        self.popen = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tintype.cli", "serve", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.popen.stdout), daemon=True)
        self.reader.start()

    def wait_for_line(self, pattern, timeout=90.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.popen.poll() is None:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            time.sleep(0.05)
        raise AssertionError(f"no line like {pattern!r} in {self.lines}, {self.popen.poll()=}")

    def finish(self):
        try:
            code = self.popen.wait(100)
        except subprocess.TimeoutExpired:
            self.popen.send_signal(signal.SIGABRT)  # faulthandler writes where every thread stands
            self.popen.wait()
            raise AssertionError(f"it did not end: {self.lines}\n{self.popen.stderr.read()}") from None
        self.reader.join()
        return code, "".join(self.lines), self.popen.stderr.read()


def invoke(*flags):
    """Run the command in this process."""
    from tintype.commands.serve import ModelServerCommand, serve

    app = typer.Typer()
    app.command(cls=ModelServerCommand)(serve)
    return CliRunner().invoke(app, flags)


@pytest.fixture
def start():
    processes = []

    def start(*flags):
        processes.append(Process(*flags))
        return processes[-1]

    yield start
    for process in processes:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


def test_it_waits_for_a_version_says_when_it_is_ready_and_stops_cleanly(start, publish, base_path, tiny_models):
    process = start("--port=0", f"--model_base_path={base_path}", "--enable_model_warmup=false")
    port = int(process.wait_for_line(r"serving colorizer from .* 0\.0\.0\.0:(\d+)")[1])
    process.wait_for_line("no versions of colorizer found")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
    publish(tiny_models["one"], "1")
    process.wait_for_line(r"\d\d:\d\d:\d\d.* colorizer version 1: AVAILABLE")
    process.wait_for_line(f"ready: every model answers on port {port}")
    assert Client(port).ab() == pytest.approx([10, -15])
    process.popen.send_signal(signal.SIGTERM)
    code, output, errors = process.finish()
    assert code == 0
    assert "stopped" in output
    assert errors == ""


def test_a_signal_while_it_starts_ends_it_cleanly(start, base_path):
    process = start("--port=0", f"--model_base_path={base_path}")
    process.wait_for_line("starting: TensorFlow is loaded, then the models")
    process.popen.send_signal(signal.SIGINT)
    code, output, errors = process.finish()
    assert (code, errors) == (0, "")
    assert output.endswith("stopped before a model was there\n")


def test_a_port_in_use_is_one_line_and_exit_code_1(start, base_path):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        code, output, errors = start(f"--port={port}", f"--model_base_path={base_path}").finish()
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert f"{port}: Address already in use" in errors


def test_a_model_that_cannot_be_loaded_ends_it_with_one_line_and_exit_code_1(start, base_path):
    (base_path / "1").mkdir()
    (base_path / "1" / "saved_model.pb").write_bytes(b"no model")
    code, output, errors = start("--port=0", f"--model_base_path={base_path}", "--max_num_load_retries=0").finish()
    assert code == 1
    assert errors.count("\n") == 1
    assert "version 1 is END" in errors
    assert "is not a SavedModel" in errors
    failed = [line for line in output.splitlines() if "load failed" in line]
    assert len(failed) == 1
    assert ".py" not in errors + failed[0]


@pytest.mark.parametrize(
    "flag",
    [
        "--use_alts_credentials=true",
        "--use_alts_credentials",
        "--saved_model_tags=tpu,serve",
        "--platform_config_file=p",
        "--enable_model_warmup=perhaps",
        "--port=x",
    ],
)
def test_flags_that_cannot_be_honoured_are_wrong_usage(flag):
    result = invoke("--model_base_path=.", flag)
    assert result.exit_code == 2
    assert flag.split("=")[0] in result.output


def test_flags_of_the_real_server_that_change_nothing_here_and_unknown_ones_are_said_and_passed_over():
    result = invoke(
        "--model_base_path=.",
        "--num_load_threads=4",
        "--use_alts_credentials=false",
        "--saved_model_tags=serve",
        "--paint_with=oil",
        "oil",
        "--batching_parameters_file=b",
    )
    assert result.output.splitlines()[:3] == [
        "--num_load_threads has no effect here",
        "unknown argument: --paint_with=oil",
        "unknown argument: oil",
    ]
    assert "without setting enable_batching" in str(result.exception)


def test_every_flag_of_the_real_server_is_known():
    from dataclasses import fields

    from serving.server.options import FLAGS_THAT_MUST_BE_OFF, FLAGS_WITHOUT_EFFECT, ServerOptions

    # A field without one is for those who start a server themselves.
    ours = {field.metadata["flag"] for field in fields(ServerOptions) if "flag" in field.metadata}
    assert not ours & FLAGS_WITHOUT_EFFECT
    assert not (ours | FLAGS_WITHOUT_EFFECT) & set(FLAGS_THAT_MUST_BE_OFF)
    assert {f"--{name}" for name in FLAGS_OF_TENSORFLOW_MODEL_SERVER} <= (
        ours | FLAGS_WITHOUT_EFFECT | set(FLAGS_THAT_MUST_BE_OFF) | {"--version"}
    )


def test_its_version_is_said():
    result = invoke("--version")
    assert (result.exit_code, result.output.count("\n")) == (0, 1)
    assert result.output.startswith("tintype ")


def test_without_a_model_it_needs_the_generator_that_comes_with_it(start, monkeypatch):
    monkeypatch.setenv("TINTYPE_GENERATOR", "nowhere.zip")
    code, output, errors = start("--port=0").finish()
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert "no trained generator comes with this installation" in errors


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model_base_path=.", "--batching_parameters_file=b"], "without setting enable_batching"),
        (["--model_config_file=nowhere.config"], "cannot read nowhere.config"),
    ],
)
def test_flags_that_contradict_and_files_that_are_not_there_are_one_line_and_exit_code_1(start, flags, words):
    code, output, errors = start(*flags).finish()
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert words in errors


def test_several_models_are_served_over_grpc_rest_and_a_socket_in_batches(
    start, publish, base_path, tiny_models, tmp_path
):
    publish(tiny_models["one"], "1")
    publish(tiny_models["two"], "2")
    policy = 'model_version_policy { all {} } version_labels { key: "stable" value: 1 }'
    (tmp_path / "models.config").write_text(
        model_configs(model_config("first", base_path, policy), model_config("second", base_path))
    )
    (tmp_path / "batching.config").write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 1000 }")
    rest_port = free_port()
    process = start(
        "--port=0",
        f"--rest_api_port={rest_port}",
        f"--grpc_socket_path={tmp_path / 'grpc.sock'}",
        f"--model_config_file={tmp_path / 'models.config'}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        "--enable_batching=true",
        f"--batching_parameters_file={tmp_path / 'batching.config'}",
        "--tensorflow_session_parallelism=1",
        "--mixed_precision=bfloat16",
        "--grpc_max_threads=4",
        "--load_retry_interval_micros=-1",
    )
    process.wait_for_line(
        r"serving the models of .*models.config, gRPC on 0\.0\.0\.0:\d+ and on unix:.*, REST on .*:\d+"
    )
    port = int(process.wait_for_line(r"ready: every model answers on port (\d+)")[1])
    assert Client(port).ab(name="second") == pytest.approx([1, 2])
    assert Client(f"unix:{tmp_path / 'grpc.sock'}").ab(name="first", label="stable") == pytest.approx([10, -15])
    status = httpx.get(f"http://localhost:{rest_port}/v1/models/second").json()
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    process.popen.send_signal(signal.SIGTERM)
    code, _, errors = process.finish()
    assert (code, errors) == (0, "")


def test_a_boolean_flag_may_stand_without_a_value():
    wrong = "--batching_parameters_file=nowhere.config"
    for flags, words in (
        [["--enable_batching", wrong], "cannot read"],
        [["--enable_batching=false", wrong], "without"],
    ):
        assert words in str(invoke("--model_base_path=.", "--port=0", *flags).exception)
