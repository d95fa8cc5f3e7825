import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

from components.image_example_gen import ingestion
from components.image_example_gen.config import DataConfig, Splits
from components.image_example_gen.ingestion import ingest
from components.image_example_gen.summary import read_summary
from components.trainer.decoded_photos import count_examples, example_files
from photo.errors import DataError
from tests.components.image_example_gen.photographs import encoded, picture, write_good, write_good_and_bad


def contents(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def never_again(monkeypatch):
    """Fails the test when photographs are read although they had been taken in."""

    def refuse():
        def fail(*_):
            raise AssertionError("the photographs were read again")

        monkeypatch.setattr(ingestion, "IngestPhotos", fail)

    return refuse


def test_the_trainer_reads_what_was_ingested(tmp_path):
    examples = tmp_path / "out" / "examples"
    summary = ingest(str(write_good_and_bad(tmp_path / "data")), examples, DataConfig())
    assert (summary.read, summary.kept) == (26, 20)
    for split, count in summary.splits.items():
        assert count_examples(example_files(str(examples), split)) == count
    assert contents(tmp_path / "out") == {"examples"}


def test_the_same_photographs_are_not_read_again_whatever_the_networks_size(tmp_path, never_again):
    data = str(write_good(tmp_path / "data", 6))
    first = ingest(data, tmp_path / "examples", DataConfig(size=64))
    never_again()
    assert ingest(data, tmp_path / "examples", DataConfig(size=128)) == first
    with pytest.raises(AssertionError, match="read again"):
        ingest(data, tmp_path / "examples", DataConfig(splits=Splits(train=4)))
    write_good(tmp_path / "data", 7)
    with pytest.raises(AssertionError, match="read again"):
        ingest(data, tmp_path / "examples", DataConfig())


def test_several_places_are_taken_in_together_each_photograph_under_its_source(tmp_path):
    folder = write_good(tmp_path / "folder", 6)
    zipped, tarred = tmp_path / "zipped.zip", tmp_path / "tarred.tar.gz"
    for form, seed in (("zip", 100), ("gztar", 200)):
        other = tmp_path / f"{seed}"
        other.mkdir()
        for index in range(4):
            (other / f"{index}.png").write_bytes(encoded(picture(seed + index), "PNG"))
        (other / "damaged.jpg").write_bytes(b"not a photograph")
        shutil.make_archive(str(tmp_path / ("zipped" if form == "zip" else "tarred")), form, other)
    data = "\n".join(map(str, (folder, zipped, tarred)))
    summary = ingest(data, tmp_path / "examples", DataConfig())
    assert summary.kept == 14
    named = {line["path"] for line in summary.first_unreadable}
    assert named == {"zipped/damaged.jpg", "tarred/damaged.jpg"}
    found = set()
    for split in summary.splits:
        for record in tf.data.TFRecordDataset(example_files(str(tmp_path / "examples"), split), "GZIP"):
            features = tf.train.Example.FromString(record.numpy()).features.feature
            found.add(tuple(features[f"image/{name}"].bytes_list.value[0].decode() for name in ("label", "filename")))
    assert {name.split("/")[0] for _, name in found} == {"folder", "zipped", "tarred"}
    assert {label for label, name in found if not name.startswith("folder")} == {"zipped", "tarred"}


def test_refused_photographs_leave_what_stood_there_before(tmp_path):
    good = str(write_good(tmp_path / "good", 6))
    taken = ingest(good, tmp_path / "out" / "examples", DataConfig())
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "page.jpg").write_text("<html>404</html>")
    with pytest.raises(DataError, match="1 of 1 files"):
        ingest(str(tmp_path / "bad"), tmp_path / "out" / "examples", DataConfig())
    with pytest.raises(DataError, match="no such folder"):
        ingest(str(tmp_path / "absent"), tmp_path / "out" / "examples", DataConfig())
    assert read_summary(str(tmp_path / "out" / "examples")) == taken
    assert contents(tmp_path / "out") == {"examples"}


def test_half_of_an_interrupted_run_is_not_taken_for_a_whole(tmp_path):
    (tmp_path / ".examples.part" / "Split-train").mkdir(parents=True)
    (tmp_path / ".examples.part" / "Split-train" / "data_tfrecord-00000-of-00001.gz").write_bytes(b"half")
    ingest(str(write_good(tmp_path / "data", 6)), tmp_path / "examples", DataConfig())
    assert contents(tmp_path) == {"data", "examples"}
    assert count_examples(example_files(str(tmp_path / "examples"), "train")) > 0


@pytest.mark.slow
def test_taking_in_needs_no_tfx():
    script = "import sys, components.image_example_gen.ingestion; assert 'tfx' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
