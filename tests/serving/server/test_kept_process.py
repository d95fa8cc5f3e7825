"""Servers that stay when the command that started them has ended: real processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.server.kept_process import kept_server
from serving.server.options import ServerOptions
from tests.serving.model.conftest import packed  # noqa: F401 - a fixture

OPTIONS = ServerOptions("colorizer", enable_model_warmup=False)


@pytest.fixture
def home(tmp_path, monkeypatch, packed):  # noqa: F811
    """This user's folder of servers, empty, and the environment in which they serve a small generator."""
    runtime = Path(tempfile.mkdtemp(prefix="run-", dir="/tmp"))  # a socket's path is short
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TINTYPE_GENERATOR", str(packed))
    yield runtime / "tintype"
    for process in running(runtime):
        os.kill(process, signal.SIGKILL)
    shutil.rmtree(runtime, ignore_errors=True)


def running(folder: Path) -> list[int]:
    """The servers that have their files below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, state = (process / "cmdline").read_bytes(), (process / "stat").read_text()
        except OSError:
            continue
        if f"{folder}/".encode() in command and state.rpartition(")")[2].split()[0] != "Z":
            found.append(int(process.name))
    return found


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_calls_at_once_find_one_server_and_other_options_or_settings_another(home, monkeypatch):
    with ExitStack() as stack:
        found = []

        def find():
            found.append(stack.enter_context(kept_server(OPTIONS, keep_for=60)))

        threads = [threading.Thread(target=find) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({server.pid for server in found}) == 1
        assert sorted(server.was_there for server in found) == [False, True, True]
        other = stack.enter_context(kept_server(ServerOptions("other"), keep_for=60))
        assert other.pid != found[0].pid
        assert sorted(running(home)) == sorted([found[0].pid, other.pid])
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
        third = stack.enter_context(kept_server(OPTIONS, keep_for=60))
        assert not third.was_there


def test_a_server_that_crashed_is_noticed_and_the_next_call_starts_another(home):
    ended = threading.Event()
    with kept_server(OPTIONS, keep_for=60) as crashed:
        crashed.watch(ended.set)
        os.kill(crashed.pid, signal.SIGKILL)
        assert ended.wait(30)
        assert crashed.has_ended
        with kept_server(OPTIONS, keep_for=60) as next_one:
            assert not next_one.was_there
            assert next_one.pid != crashed.pid
            assert len([folder for folder in home.iterdir() if folder.is_dir()]) == 1  # the crashed one's is gone


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_nothing_is_kept_where_others_might_look(home, mode, monkeypatch):
    home.mkdir()
    home.chmod(mode)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with kept_server(OPTIONS, keep_for=60) as server:
        assert server is None
    assert running(home) == []


@pytest.mark.slow
def test_a_second_call_finds_the_server_of_the_first_which_ends_when_it_is_idle(home, tmp_path):
    Image.fromarray(np.linspace(0, 255, 60 * 80, dtype=np.uint8).reshape(60, 80)).save(tmp_path / "one.png")

    def colorize(out, *more):
        command = [sys.executable, "-m", "tintype.cli", "colorize", "one.png", "-o", out, *more]
        environment = os.environ | {"TINTYPE_KEEP_MINUTES": "10"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)

    first = colorize("first")
    assert (first.returncode, first.stdout) == (0, "coloured 1 of 1 photograph into first/\n")
    assert "starting the generator" in first.stderr
    [server] = running(home)
    assert home.stat().st_mode & 0o777 == 0o700
    ports = subprocess.run(["ss", "-tlnp"], capture_output=True, text=True).stdout if shutil.which("ss") else ""
    assert f"pid={server}," not in ports
    second = colorize("second")
    assert second.returncode == 0
    assert "starting" not in second.stderr
    assert running(home) == [server]
    pixels = [np.asarray(Image.open(tmp_path / out / "one.png")) for out in ("first", "second")]
    assert np.array_equal(*pixels)
    assert "starting the generator" in colorize("alone", "--no-keep").stderr
    assert colorize("last", "--keep-minutes", "0.01").returncode == 0
    wait_for(lambda: not running(home))
    assert [path.suffix for path in home.iterdir()] in (["", ".door"], [".door", ""])  # the lock, and nobody's door


@pytest.mark.slow
def test_sigterm_ends_a_server_that_still_loads_and_leaves_nothing(home):
    with kept_server(OPTIONS, keep_for=600) as server:
        os.kill(server.pid, signal.SIGTERM)
        wait_for(lambda: not running(home))
    assert not [folder for folder in home.iterdir() if folder.is_dir()]
