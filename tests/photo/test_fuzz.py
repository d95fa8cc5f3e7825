"""Thousands of files of every kind, whole and damaged, each read by two processes whose fresh memory differs."""

import json
import re
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("imagecodecs")  # writes the files

from benchmarks.fuzz import Readers, main
from benchmarks.fuzz_files import fuzz_file

EXAMPLES = 2000


@pytest.fixture(scope="module")
def readers():
    readers = Readers()
    yield readers
    readers.close()


# A seed and not every choice is drawn: a file takes thirty of them, and hypothesis a millisecond for each.
@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
def test_any_file_becomes_its_own_pixels_or_an_error_in_words(readers, seed):
    file = fuzz_file(Random(seed))
    answer, fault = readers.read(file)
    assert not fault, f"{file.kind}: {fault}"
    assert answer.pixels is not None or answer.reason


def test_the_script_goes_on_behind_the_seeds_that_were_read(tmp_path, capsys):
    results = tmp_path / "results" / "fuzz.jsonl"
    command = ["--files", "4", "--results", str(results), "--seeds"]
    assert main([*command, "1"]) == 0
    [first] = results.read_text().splitlines()
    results.write_text(first + "\n" + first.replace('"code": "', '"code": "0'))  # of other code
    with results.open("a") as lines:
        lines.write('\n{"code": "')  # a stop cut it off
        lines.write("\n")
    assert main([*command, "2"]) == 0
    assert main([*command, "2"]) == 0
    lines = results.read_text().splitlines()
    assert [json.loads(line)["seed"] for line in (lines[0], lines[-1])] == [0, 1]
    assert len(lines) == 4
    last = capsys.readouterr().out.splitlines()
    assert re.match(r"\| all \| 8 \| \d \| \d \| \d \| 0 \|$", last[-3])
    assert last[-1].startswith("Seeds 0 to 1, ")
