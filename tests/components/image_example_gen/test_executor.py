import json
import tarfile
import tempfile
import zipfile
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf

from components.image_example_gen.config import DataConfig
from components.image_example_gen.executor import input_location
from components.image_example_gen.ingestion import SPLITS, IngestPhotos, check_summary
from components.image_example_gen.summary import IngestionSummary, read_summary
from photo import archives
from photo.errors import DataError
from tests.components.image_example_gen.photographs import BAD, encoded, picture, write_good, write_good_and_bad
from tests.url_file_system import DRAWER

CONFIG = DataConfig()


class Ingested:
    """What a run left behind: serialized Examples by split, the report by path, the summary and Beam's counters."""

    def __init__(self, location: str | Path, config: DataConfig = CONFIG, *options: str):
        with tempfile.TemporaryDirectory() as output:
            pipeline = beam.Pipeline(argv=list(options))
            pipeline | IngestPhotos(str(location), output, config)
            result = pipeline.run()
            result.wait_until_finish()
            self.counters = {
                counter.key.metric.name: counter.committed
                for counter in result.metrics().query()["counters"]
                if counter.key.metric.namespace == "image_example_gen"
            }
            self.examples = {
                split: sorted(
                    tf.data.TFRecordDataset(
                        tf.io.gfile.glob(f"{output}/Split-{split}/*.gz"), "GZIP"
                    ).as_numpy_iterator()
                )
                for split in SPLITS
            }
            lines = [json.loads(line) for line in (Path(output) / "report.jsonl").read_text().splitlines()]
            self.reasons = {line["path"]: line["reason"] for line in lines}
            self.details = {line["path"]: line["detail"] for line in lines}
            assert len(lines) == len(self.reasons)
            self.summary = read_summary(output)

    def hashes(self) -> dict[str, list[bytes]]:
        return {
            split: sorted(_feature(record, "image/sha256") for record in records)
            for split, records in self.examples.items()
        }

    def names(self) -> set[str]:
        return {_feature(record, "image/filename").decode() for records in self.examples.values() for record in records}


def _feature(record: bytes, name: str) -> bytes:
    return tf.train.Example.FromString(record).features.feature[name].bytes_list.value[0]


def pack_zip(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(folder.rglob("*")):
            stream.write(path, path.relative_to(folder))
    return archive


def pack_tar(folder: Path, archive: Path, mode: str = "w") -> Path:
    with tarfile.open(archive, mode) as stream:
        stream.add(folder, ".")
    return archive


def test_every_bad_file_is_left_out_with_its_reason_and_counted(tmp_path):
    ingested = Ingested(write_good_and_bad(tmp_path / "data"))
    assert ingested.reasons == BAD
    assert ingested.details["street/zz_copy.jpg"] == "the same content as street/night/00.jpg"
    assert ingested.counters == {"kept": 20} | dict.fromkeys(BAD.values(), 1)
    assert ingested.summary.read == 26
    assert ingested.summary.kept == sum(ingested.summary.splits.values()) == 20
    assert ingested.summary.left_out == dict.fromkeys(BAD.values(), 1)
    assert {split: len(records) for split, records in ingested.examples.items()} == ingested.summary.splits


@pytest.mark.parametrize("archive", ["photos.zip", "photos.tar", "photos.tar.gz", "photos.tgz"])
def test_an_archive_gives_what_its_folder_gives(tmp_path, archive):
    folder = write_good_and_bad(tmp_path / "data")
    if archive.endswith(".zip"):
        packed = pack_zip(folder, tmp_path / archive)
    else:
        packed = pack_tar(folder, tmp_path / archive, "w" if archive.endswith(".tar") else "w:gz")
    from_folder, from_archive = Ingested(folder), Ingested(packed)
    assert from_archive.examples == from_folder.examples
    assert from_archive.reasons == from_folder.reasons


def test_archives_inside_a_folder_are_taken_too(tmp_path):
    parts = write_good(tmp_path / "parts", 6)
    folder = write_good(tmp_path / "data", 1)
    pack_zip(parts, folder / "one.zip")
    pack_tar(parts, folder / "two.tar.gz", "w:gz")
    ingested = Ingested(folder)
    assert ingested.summary.kept == 6
    assert set(ingested.reasons.values()) == {"duplicate"}
    assert len(ingested.reasons) == 7
    assert "one.zip/glacier/01.jpg" in ingested.names()


def test_a_photograph_keeps_its_split_under_another_name(tmp_path):
    first = write_good(tmp_path / "first")
    second = tmp_path / "second"
    for index, path in enumerate(sorted(first.rglob("*.jpg"))):
        target = second / f"{index % 3}" / f"renamed_{100 - index}.jpeg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert Ingested(first).hashes() == Ingested(second).hashes()


def test_copies_of_an_unreadable_file_are_all_unreadable(tmp_path):
    folder = write_good(tmp_path, 3)
    for index in range(4):
        (folder / f"page{index}.jpg").write_text("<html>404</html>")
    assert set(Ingested(folder).reasons.values()) == {"not_an_image"}


def test_hidden_files_are_no_photographs_and_links_are_followed_once(tmp_path):
    folder = write_good(tmp_path / "data", 2)
    elsewhere = write_good(tmp_path / "elsewhere", 4)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/._01.jpg").write_bytes(b"x")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "circle").symlink_to(folder)
    (folder / "nowhere.jpg").symlink_to(tmp_path / "absent")
    ingested = Ingested(folder)
    assert ingested.summary.kept == 4
    assert ingested.reasons.pop("nowhere.jpg") == "unreadable"
    assert sorted(ingested.reasons.values()) == ["duplicate"] * 2


def test_names_that_are_not_text_are_taken(tmp_path):
    folder = write_good(tmp_path / "data", 2)
    (Path(str(folder)) / "caf\udce9.jpg").write_bytes(encoded(picture(50)))
    assert "caf\ufffd.jpg" in Ingested(folder).names()


def test_hostile_archive_members_write_nothing_and_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 100_000)
    photograph = encoded(picture(60))
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("../../outside.jpg", photograph)
        stream.writestr("/absolute.jpg", encoded(picture(61)))
        stream.writestr("bomb.jpg", bytes(10_000_000))
    ingested = Ingested(tmp_path / "hostile.zip")
    assert ingested.reasons == {"bomb.jpg": "too_many_bytes"}
    assert ingested.names() == {"../../outside.jpg", "/absolute.jpg"}
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.zip"]

    with tarfile.open(tmp_path / "hostile.tar", "w") as stream:
        stream.add(tmp_path / "hostile.zip", "large.jpg")
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        stream.addfile(link)
    (tmp_path / "large.bin").write_bytes(bytes(200_000))
    with tarfile.open(tmp_path / "large.tar", "w") as stream:
        stream.add(tmp_path / "large.bin", "large.jpg")
    assert Ingested(tmp_path / "hostile.tar").reasons == {"large.jpg": "not_an_image"}
    assert Ingested(tmp_path / "large.tar").reasons == {"large.jpg": "too_many_bytes"}


def test_one_broken_zip_member_does_not_stop_the_others(tmp_path):
    packed = pack_zip(write_good(tmp_path / "data", 4), tmp_path / "photos.zip")
    content = bytearray(packed.read_bytes())
    content[content.index(b"\xff\xd8") + 300] ^= 0xFF
    packed.write_bytes(content)
    ingested = Ingested(packed)
    assert ingested.summary.kept == 3
    assert list(ingested.reasons.values()) == ["unreadable"]


@pytest.mark.parametrize("archive", ["photos.zip", "photos.tar", "photos.tar.gz"])
def test_a_damaged_archive_stops_the_run_by_name(tmp_path, archive):
    folder = write_good(tmp_path / "data", 8)
    mode = "w:gz" if archive.endswith("gz") else "w"
    packed = (pack_zip if archive.endswith("zip") else lambda *paths: pack_tar(*paths, mode))(
        folder, tmp_path / archive
    )
    content = packed.read_bytes()
    packed.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(DataError, match=f"{archive} is damaged"):
        check_summary(Ingested(packed).summary, str(packed), CONFIG)


def test_a_broken_header_in_the_middle_of_a_tar_is_not_taken_for_its_end(tmp_path):
    packed = pack_tar(write_good(tmp_path / "data", 8), tmp_path / "photos.tar")
    with tarfile.open(packed) as stream:
        offset = stream.getmembers()[6].offset
    content = bytearray(packed.read_bytes())
    content[offset + 20] ^= 0xFF
    packed.write_bytes(content)
    with pytest.raises(DataError, match="broken header after 6 members"):
        check_summary(Ingested(packed).summary, str(packed), CONFIG)


def test_too_many_unreadable_files_fail_and_the_first_are_named(tmp_path):
    folder = write_good(tmp_path, 3)
    for index in range(12):
        (folder / f"broken{index:02}.jpg").write_text(f"broken {index}")
    with pytest.raises(DataError, match="12 of 15 files") as refused:
        check_summary(Ingested(folder).summary, str(folder), CONFIG)
    assert "broken00.jpg: not_an_image" in str(refused.value)
    assert "broken09.jpg" in str(refused.value)
    assert "broken10.jpg" not in str(refused.value)
    check_summary(Ingested(folder).summary, str(folder), DataConfig(max_unreadable_share=0.8))


def test_nothing_to_ingest_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no files"):
        check_summary(Ingested(tmp_path).summary, str(tmp_path), CONFIG)
    with pytest.raises(DataError, match=r"could be kept: 3 gray"):
        check_summary(
            IngestionSummary(read=3, kept=0, splits={}, left_out={"gray": 3}, first_unreadable=[]), "photos", CONFIG
        )


@pytest.mark.parametrize(
    ("pattern", "location"),
    [("*", "base"), ("**", "base"), ("day-3/*", "base/day-3"), ("day-3/v1", "base/day-3/v1"), ("3.zip", "base/3.zip")],
)
def test_a_pattern_names_a_folder_or_archive_below_the_base(pattern, location):
    assert input_location("base", json.dumps({"splits": [{"name": "all", "pattern": pattern}]})) == location


def test_other_wildcards_are_refused():
    with pytest.raises(DataError, match="received 'a\\*/b'"):
        input_location("base", json.dumps({"splits": [{"name": "all", "pattern": "a*/b"}]}))


def test_a_beam_filesystem_is_read_like_a_local_folder(tmp_path):
    folder = write_good_and_bad(tmp_path / "data")
    packed = pack_zip(folder, tmp_path / "photos.zip")
    local = Ingested(folder)
    for path in (folder, packed):
        remote = Ingested(f"{DRAWER}{path}")
        assert remote.examples == local.examples
        assert remote.reasons == local.reasons


@pytest.mark.slow
def test_worker_processes_give_the_same_examples(tmp_path):
    packed = pack_zip(write_good_and_bad(tmp_path / "data"), tmp_path / "photos.zip")
    parallel = Ingested(packed, CONFIG, "--direct_running_mode=multi_processing", "--direct_num_workers=0")
    assert parallel.examples == Ingested(packed).examples
    assert parallel.reasons == BAD
