"""What is left out for want of a tool is said at the end of a run, and fails where nothing may be left out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFTEST = """
import pytest
from tests import external_tools
from tests.external_tools import pytest_runtest_setup, pytest_terminal_summary

external_tools.TOOL_OF_MARKER["loom"] = external_tools.Tool("a loom", "scripts/loom.sh", lambda: "no thread")
"""
TESTS = """
import pytest

@pytest.mark.loom
@pytest.mark.parametrize("number", range(3))
def test_weaving(number):
    raise AssertionError("without a loom")

def test_without():
    pass

@pytest.mark.skip(reason="another reason")
def test_other():
    pass
"""


def run_tests(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_loom.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = loom: needs one\n")
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist.plugin", "-n", "2")])
def test_the_end_says_in_one_line_what_was_left_out_and_what_brings_it(tmp_path, arguments):
    done = run_tests(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("left out")]
    assert line.endswith("brings what they need: 3 without a loom (scripts/loom.sh)")
    assert "1 passed, 4 skipped" in done.stdout


def test_where_nothing_may_be_left_out_a_missing_tool_fails(tmp_path):
    done = run_tests(tmp_path, CI="true")
    assert done.returncode == 1
    assert "1 passed, 1 skipped, 3 errors" in done.stdout
    assert "left out" not in done.stdout
