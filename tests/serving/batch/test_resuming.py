"""What a job that goes on reads, and what it takes from its records unread."""

import json
import os
import zipfile

import pytest

from serving.batch.records import RecordWriter, keyed_records, read_records, record_groups
from tests.serving.batch.conftest import manifest, write_photo
from tests.url_file_system import DRAWER, DrawerFileSystem


@pytest.fixture
def photo(tmp_path):
    return write_photo(tmp_path / "in" / "a.bmp")


def exchange_content(photo):
    """Another photograph in a file of the same size and date."""
    status = photo.stat()
    write_photo(photo, 9)
    assert photo.stat().st_size == status.st_size
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("place", ["", DRAWER])
def test_a_file_of_the_same_size_and_date_is_not_read_again_unless_it_is_to_be_verified(colored, photo, place):
    location = f"{place}{photo.parent}"
    assert colored(location).done == 1
    exchange_content(photo)
    assert colored(location).skipped == 1
    assert colored(location, verify=True).done == 1
    assert colored(location, verify=True).skipped == 1


def test_a_file_of_another_date_is_read_once_and_then_known_by_it(colored, photo):
    colored(photo.parent)
    os.utime(photo, ns=(1, 1))
    assert colored(photo.parent).skipped == 1
    exchange_content(photo)
    assert colored(photo.parent).skipped == 1
    os.utime(photo, ns=(2, 2))
    assert colored(photo.parent).done == 1


def test_photographs_that_a_list_names_are_looked_at_as_those_of_a_folder(colored, photo, tmp_path):
    listed = tmp_path / "photographs.txt"
    listed.write_text("in/a.bmp\n")
    colored(listed, tmp_path / "in", root=str(tmp_path))
    assert [row["output"] for row in manifest(tmp_path / "out")] == ["in/a.bmp"]  # one photograph, named twice
    exchange_content(photo)
    assert colored(listed, root=str(tmp_path)).skipped == 1


def test_many_small_files_of_records_become_one_and_a_killed_worker_loses_none(colored, scans, tmp_path):
    colored(scans)
    out = str(tmp_path / "out")
    records = sorted(read_records(out))
    folder = tmp_path / "out" / ".tintype" / "records"
    [whole] = folder.iterdir()
    copies = [folder / f"{number:03}.jsonl" for number in range(63)]
    for copy in copies:
        copy.write_bytes(whole.read_bytes())
    [group] = record_groups(out)
    assert len(group) == 64
    assert sorted(set(keyed_records(group))) == sorted((record.key, record) for record in records)
    [merged] = folder.iterdir()
    assert merged.suffix == ".parquet"
    assert sorted(set(read_records(out))) == records
    for copy in copies:  # as a worker leaves them that died before they went
        copy.write_text("{}")
    assert len(list(keyed_records(group))) == 64 * len(records)
    assert colored(scans).skipped == len(records)


def test_a_large_file_of_records_stays_as_it_is(colored, scans, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.batch.records._MERGED_BYTES", 100)
    colored(scans)
    assert [len(group) for group in record_groups(str(tmp_path / "out"))] == [1]


def test_records_of_before_there_was_a_date_hold(colored, photo, tmp_path):
    colored(photo.parent)
    [path] = (tmp_path / "out" / ".tintype" / "records").iterdir()
    record = json.loads(path.read_text())
    del record["input_stamp"]
    path.write_text(json.dumps(record))
    assert colored(photo.parent).skipped == 1


def test_of_a_remote_archive_the_members_are_read_and_not_all_of_it(colored, tmp_path, monkeypatch):
    write_photo(tmp_path / "one.bmp")
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as archive:
        archive.write(tmp_path / "one.bmp", "one.bmp")
        archive.writestr("film.mov", bytes(4 << 20))
    read = []

    class Counting:
        def __init__(self, stream):
            self._stream = stream

        def read(self, size=-1):
            data = self._stream.read(size)
            read.append(len(data))
            return data

        def __getattr__(self, name):
            return getattr(self._stream, name)

    opened = DrawerFileSystem.open
    monkeypatch.setattr(DrawerFileSystem, "open", lambda *args, **options: Counting(opened(*args, **options)))
    assert colored(f"{DRAWER}{tmp_path}/box.zip").done == 1
    assert 0 < sum(read) < 1 << 18


def test_a_record_writer_is_shared_by_threads(tmp_path, colored, photo):
    from concurrent.futures import ThreadPoolExecutor

    colored(photo.parent)
    [record] = read_records(str(tmp_path / "out"))
    writer = RecordWriter(str(tmp_path / "other"))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(writer.add, [record] * 400))
    writer.close()
    assert list(read_records(str(tmp_path / "other"))) == [record] * 400
