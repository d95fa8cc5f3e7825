import os
import pickle

import numpy as np
import pytest

from components.trainer.networks.pytorch_file import read_pytorch_file
from tests.components.trainer.networks.pytorch_files import Tensor, pytorch_file


class Command:
    """Calls the shell when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_a_tensor_is_read_in_the_order_of_its_strides():
    (name, tensor), *_ = read_pytorch_file(pytorch_file({"a": Tensor(range(8), 1, (3, 2), (1, 3))})).items()
    assert name == "a"
    np.testing.assert_array_equal(tensor, [[1, 4], [2, 5], [3, 6]])


def test_two_tensors_may_share_their_elements():
    first = Tensor(range(4), 0, (2,), (1,))
    second = Tensor([], 2, (2,), (1,))
    second.elements = first.elements
    tensors = read_pytorch_file(pytorch_file({"first": first, "second": second}))
    np.testing.assert_array_equal(tensors["second"], [2, 3])


@pytest.mark.parametrize("place", ["the magic number", "the tensors"])
def test_a_file_that_would_run_a_command_is_refused_and_runs_nothing(place, tmp_path):
    command = Command(tmp_path / "ran")
    hostile = pickle.dumps(command) if place == "the magic number" else pytorch_file({"a": command})
    with pytest.raises(ValueError, match=r"it asks for (posix|nt)\.system, which is no part of a tensor"):
        read_pytorch_file(hostile)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (Tensor(range(4), 0, (5,), (1,)), "a tensor ends at element 4 of a storage of 4"),
        (Tensor(range(4), 3, (2,), (1,)), "a tensor ends at element 4 of a storage of 4"),
        (Tensor(range(4), 0, (2,), (-1,)), r"has the strides \(-1,\)"),
        (Tensor(range(4), -1, (2,), (1,)), "the strides"),
        (Tensor(range(4), 0, (2, 2), (1,)), "the strides"),
    ],
)
def test_a_tensor_that_reaches_out_of_its_elements_is_refused(tensor, words):
    with pytest.raises(ValueError, match=words):
        read_pytorch_file(pytorch_file({"a": tensor}))


def test_a_file_that_was_cut_off_anywhere_is_refused():
    content = pytorch_file({"a": Tensor(range(8), 0, (8,), (1,))})
    for end in range(0, len(content) - 1, 3):
        with pytest.raises(ValueError):  # noqa: PT011 - the words differ with the place
            read_pytorch_file(content[:end])


@pytest.mark.parametrize("content", [b"", b"no pickle at all", pickle.dumps(7), pytorch_file({}, magic=8)])
def test_what_pytorch_did_not_write_is_refused(content):
    with pytest.raises(ValueError):  # noqa: PT011
        read_pytorch_file(content)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(ValueError, match="something else than named tensors"):
        read_pytorch_file(pytorch_file({"epoch": 7}))
