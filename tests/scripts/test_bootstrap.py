import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOTSTRAP = ROOT / "scripts" / "bootstrap.sh"


@pytest.mark.skipif(not (ROOT / ".venv" / ".complete").exists(), reason="the environment was not made by bootstrap.sh")
def test_a_second_call_does_nothing():
    marker = ROOT / ".venv" / ".complete"
    before = marker.stat().st_mtime_ns
    answer = subprocess.run([BOOTSTRAP], capture_output=True, text=True, timeout=60)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert marker.stat().st_mtime_ns == before


def test_without_python_3_11_it_says_how_to_get_it(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "cat", "cut", "dirname", "sha256sum"):
        (tools / tool).symlink_to(shutil.which(tool))
    copy = tmp_path / "clone" / "scripts"
    copy.mkdir(parents=True)
    shutil.copy(BOOTSTRAP, copy)
    answer = subprocess.run(
        ["bash", copy / "bootstrap.sh"], capture_output=True, text=True, timeout=60, env={"PATH": str(tools)}
    )
    assert answer.returncode == 1
    assert "Python 3.11 was not found" in answer.stderr
    assert "apt-get install python3.11" in answer.stderr
