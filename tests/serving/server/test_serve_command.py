"""`tintype serve` as people run it: a process of its own."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.serving.server.conftest import Client

pytestmark = pytest.mark.slow


class Process:
    """A running `tintype serve` whose lines are read as they come."""

    def __init__(self, *flags):
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tintype.cli", "serve", *flags],
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
        code = self.popen.wait(60)
        self.reader.join()
        return code, "".join(self.lines), self.popen.stderr.read()


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
    publish(tiny_models["one"], "1")
    process.wait_for_line(r"\d\d:\d\d:\d\d.* colorizer version 1: AVAILABLE")
    process.wait_for_line(f"ready: .*{port}")
    assert Client(port).ab() == pytest.approx([10, -15])
    process.popen.send_signal(signal.SIGTERM)
    code, output, errors = process.finish()
    assert code == 0
    assert "stopped" in output
    assert errors == ""


def test_a_signal_while_it_starts_ends_it_cleanly(start, base_path):
    process = start("--port=0", f"--model_base_path={base_path}")
    time.sleep(3)
    process.popen.send_signal(signal.SIGINT)
    code, _, errors = process.finish()
    assert code == 0
    assert errors == ""


def test_a_port_in_use_is_one_line_and_exit_code_1(start, base_path):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        code, output, errors = start(f"--port={port}", f"--model_base_path={base_path}").finish()
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert f"{port}: the port is in use" in errors


def test_a_missing_base_path_is_one_line_and_exit_code_1(start, tmp_path):
    code, output, errors = start(f"--model_base_path={tmp_path / 'nowhere'}").finish()
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert "nowhere" in errors


@pytest.mark.parametrize(
    "flag", ["--model_config_file=models.config", "--rest_api_port=8501", "--enable_model_warmup=perhaps", "--port=x"]
)
def test_flags_that_cannot_be_honoured_are_wrong_usage(start, base_path, flag):
    code, _, errors = start(f"--model_base_path={base_path}", flag).finish()
    assert code == 2
    assert flag.split("=")[0] in errors
