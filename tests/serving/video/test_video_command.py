import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.serving.video.conftest import pan, planes

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "", "COLUMNS": "200"}


@pytest.fixture
def command(wire_server, tmp_path):
    def arguments(*given):
        return [sys.executable, "-m", "tintype.cli", "video", *map(str, given), "--server", wire_server.address]

    return arguments


def run(command):
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_colours_films_and_goes_on_when_one_is_none(command, film, tmp_path):
    good, bad = film("a.mp4", pan(1, 6)), tmp_path / "b.mp4"
    bad.write_text("a letter")
    ended = run(command(good, bad, "-o", tmp_path / "out"))
    assert ended.returncode == 1
    assert "b.mp4: a text file, no film" in ended.stderr
    assert "6 frames" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(planes(tmp_path / "out" / "a.mp4")) == 6


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_loses_nothing(command, film, tmp_path):
    source, target = film("a.mp4", [frame for seed in range(6) for frame in pan(seed, 40)]), tmp_path / "out.mp4"
    killed = subprocess.Popen(command(source, "-o", target), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 40
    while not list(tmp_path.glob(".out.mp4.parts/000001.json")):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not target.exists()
    ended = run(command(source, "-o", target))
    assert ended.returncode == 0, ended.stderr
    assert "by an earlier run" in ended.stderr
    assert len(planes(target)) == 240
