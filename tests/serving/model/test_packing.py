import os
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from photo.errors import TintypeError
from serving.model import packing
from serving.model.packing import pack
from serving.model.shipped_generator import unpack
from tests.tiny_models import write_tiny_model
from tintype.cli import app


class Module(tf.Module):
    """Variables of several kinds; those given to `used` are part of the signature's answer."""

    def __init__(self, used, unused=()):
        super().__init__()
        self.used = [tf.Variable(value) for value in used]
        self.unused = [tf.Variable(value) for value in unused]
        self.again = self.used[0]  # a second name is no second variable

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="name")])
    def answer(self, name):
        return {str(number): tf.identity(variable) for number, variable in enumerate(self.used)}


@pytest.fixture
def write_model(tmp_path):
    def write(*used, unused=()):
        module = Module(used, unused)
        tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.answer)
        return tmp_path / "model"

    return write


def test_what_is_unpacked_is_the_model_within_the_rounding_of_float16(write_model, tmp_path, cache):
    weights = np.random.default_rng(0).normal(0, 0.1, (300, 200)).astype(np.float32)
    model = write_model(weights, np.int64([[2**40]]), True, np.float32(3), np.zeros((0, 2), np.float32), "words")
    (model / "assets.extra").mkdir()
    (model / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"requests")
    result = pack(model, tmp_path / "packed.zip")
    assert result.size == (tmp_path / "packed.zip").stat().st_size < 2 * weights.size + 20_000
    assert result.parameters == weights.size + 3

    folder = unpack(tmp_path / "packed.zip") / "1"
    for name in ("saved_model.pb", "fingerprint.pb", "assets.extra/tf_serving_warmup_requests"):
        assert (folder / name).read_bytes() == (model / name).read_bytes()
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](name=tf.constant(["x"]))
    assert [tensor.dtype for tensor in map(answer.get, "012345")] == [
        tf.float32, tf.int64, tf.bool, tf.float32, tf.float32, tf.string,
    ]  # fmt: skip
    rounding = np.abs(answer["0"].numpy() - weights)
    assert result.largest_rounding == pytest.approx(rounding.max(), rel=1e-6)
    assert 0 < rounding.max() < 0.5 / 2**10  # half of a unit in the last place, of numbers below 1
    assert (answer["1"].numpy().item(), answer["2"].numpy().item(), answer["3"].numpy().item()) == (2**40, True, 3)
    assert (answer["4"].shape, answer["5"].numpy()) == ((0, 2), b"words")


def test_the_same_model_gives_the_same_bytes(write_model, tmp_path):
    model = write_model(np.arange(100, dtype=np.float32))
    pack(model, tmp_path / "first.zip")
    os.utime(model / "saved_model.pb", (1, 1_000_000_000))
    pack(
        model.rename(tmp_path / "a[1]*?b"), tmp_path / "second.zip"
    )  # where TensorFlow would look for a pattern's files
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert sum(name.endswith(".npy") for name in archive.namelist()) == 1
        assert archive.namelist() == sorted(archive.namelist())


@pytest.mark.parametrize(
    ("used", "unused", "words"),
    [
        ([np.float32([1, -1e5])], [], r"again\S* holds -100000; float16 holds numbers up to 65504"),
        ([np.float32([1, np.nan])], [], "holds nan"),
        ([np.float16(1)], [], "is of float16; unpacked it would be of float32"),
        ([np.float32(1)], [np.float32([2])], r"holds 1 variables that no signature uses: unused/0"),
        ([np.random.default_rng(0).normal(size=60_000).astype(np.float32)], [], "at most 100,000 may come"),
    ],
)
def test_what_cannot_be_packed_is_named_and_nothing_is_written(write_model, tmp_path, monkeypatch, used, unused, words):
    monkeypatch.setattr(packing, "MAX_PACKED_BYTES", 100_000)
    model = write_model(*used, unused=unused)
    (tmp_path / "packed.zip").write_text("the one before")
    with pytest.raises(TintypeError, match=words):
        pack(model, tmp_path / "packed.zip")
    assert (tmp_path / "packed.zip").read_text() == "the one before"


def test_the_command_says_how_large_it_is_and_how_exact(tmp_path):
    model = write_tiny_model(tmp_path / "model", ab=(0.1, -30.0))
    done = CliRunner().invoke(app, ["pack", "--model", str(model), "-o", str(tmp_path / "packed.zip")])
    assert done.exit_code == 0, done.output
    size = (tmp_path / "packed.zip").stat().st_size
    assert done.output.splitlines() == [
        f"{tmp_path / 'packed.zip'}: {size:,} bytes, 2 parameters",
        "largest rounding of a weight: 2.4e-05, in ab/.ATTRIBUTES/VARIABLE_VALUE",
    ]


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(TintypeError, match=r"no saved_model.pb in .*nowhere"):
        pack(tmp_path / "nowhere", tmp_path / "packed.zip")
    model = write_tiny_model(tmp_path / "model")
    (model / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(TintypeError, match="cannot read the model in"):
        pack(model, tmp_path / "packed.zip")
    (model / "variables" / "variables.index").unlink()
    with pytest.raises(TintypeError, match="cannot read the model in"):
        pack(model, tmp_path / "packed.zip")
