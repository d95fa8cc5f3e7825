import os
import signal
import subprocess
import sys
import threading

import pytest

from photo.errors import TintypeError
from photo.locks import locked

HOLD = """
import sys
from pathlib import Path
from photo.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_held_lock_is_refused_and_its_holder_named(tmp_path, holder):
    with (
        pytest.raises(TintypeError, match=rf"^somebody is at work \(process {holder.pid} on .+\)$"),
        locked(tmp_path / "lock", busy="somebody is at work"),
    ):
        pass


def test_who_waits_gets_the_lock_when_its_holder_is_killed(tmp_path, holder):
    order = []

    def wait():
        with locked(tmp_path / "lock"):
            order.append("got it")

    waiting = threading.Thread(target=wait)
    waiting.start()
    order.append("killed")
    os.kill(holder.pid, signal.SIGKILL)
    waiting.join(timeout=60)
    assert order == ["killed", "got it"]


def test_a_lock_is_free_again_and_names_nobody(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "lock", busy="busy"):
            assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")
    assert (tmp_path / "lock").read_text() == ""


def test_a_place_without_a_lock_file_says_so(tmp_path):
    with pytest.raises(OSError, match="absent"), locked(tmp_path / "absent" / "lock"):
        pass
