"""`tintype colorize` with no server named: processes as people start and stop them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.serving.model.conftest import packed  # noqa: F401 - a fixture


@pytest.fixture
def start(tmp_path, packed):  # noqa: F811
    """Start `tintype colorize one.png -o out` with a generator; its process, and the embedded server's number.

    That it colours is for the test of an installed Tintype to show, tests/e2e/test_installed.py.
    """
    Image.new("L", (400, 300), 120).save(tmp_path / "one.png")

    def start(generator: Path = packed) -> tuple[subprocess.Popen, int]:
        environment = {
            "TINTYPE_GENERATOR": str(generator),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PATH": os.environ["PATH"],
            "TINTYPE_KEEP_MINUTES": "0",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tintype.cli", "colorize", "one.png", "-o", "out"],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not (child := children.read_text().split()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        return process, int(child[0])

    return start


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until_ended(process: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not has_ended(process):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_crash_of_the_command_ends_the_server_too_and_ctrl_c_at_once(start):
    crashed, orphan = start()
    crashed.kill()
    crashed.communicate()
    stopped, server = start()
    time.sleep(1)
    stopped.send_signal(signal.SIGINT)
    _, errors = stopped.communicate(timeout=100)
    assert stopped.returncode != 0
    assert "Traceback" not in errors
    assert has_ended(server)
    wait_until_ended(orphan, 120)  # once TensorFlow is imported


def test_a_server_that_ends_by_itself_says_why_in_one_line(start, tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    process, _ = start(tmp_path / "broken.zip")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    [line] = [line for line in errors.splitlines() if line.startswith("error:")]
    assert line.startswith(f"error: the embedded server ended: the generator {tmp_path / 'broken.zip'} is damaged")
    assert "Traceback" not in errors
