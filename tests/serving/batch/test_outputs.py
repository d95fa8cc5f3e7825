import errno
import os

import pytest

from photo.errors import TintypeError
from serving.batch.errors import BatchStopped
from serving.batch.outputs import size_of, write_file, write_own_file
from tests.url_file_system import DRAWER


@pytest.mark.parametrize("scheme", ["", DRAWER])
def test_what_stood_there_is_replaced_as_a_whole_and_nothing_else_is_left(scheme, tmp_path):
    location = f"{scheme}{tmp_path}/box/a.jpg"
    write_file(location, b"first")
    os.link(tmp_path / "box/a.jpg", tmp_path / "first")
    write_file(location, b"second, and longer")
    assert (tmp_path / "box/a.jpg").read_bytes() == b"second, and longer"
    assert (tmp_path / "first").read_bytes() == b"first"  # whoever has it open goes on reading what it was
    assert os.listdir(tmp_path / "box") == ["a.jpg"]
    assert size_of(location) == 18
    assert size_of(f"{location}.gone") is None


def test_wildcards_in_a_name_are_letters(tmp_path):
    for name in ("a.jpg", "[a].jpg"):
        (tmp_path / name).write_text(name)
    assert size_of(f"{DRAWER}{tmp_path}/[a].jpg") == 7


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_what_keeps_a_photograph_from_being_written_stops_the_job_only_where_it_meets_the_jobs_own_files(
    number, monkeypatch, tmp_path
):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("photo.whole_file.os.replace", refuse)
    for write, kind in ((write_file, TintypeError), (write_own_file, BatchStopped)):
        with pytest.raises(TintypeError, match=f"never-written.jpg: {os.strerror(number)}") as raised:
            write(str(tmp_path / "never-written.jpg"), b"data")
        assert type(raised.value) is kind
    assert os.listdir(tmp_path) == []
