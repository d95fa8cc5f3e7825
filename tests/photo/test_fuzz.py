"""Thousands of files of every kind, whole and damaged, each read by two processes whose fresh memory differs."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("imagecodecs")  # writes the files

from benchmarks.fuzz import Readers
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
