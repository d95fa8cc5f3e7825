import pytest

from photo.errors import TintypeError
from photo.whole_file import whole_file, whole_folder, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_bytes_and_text_replace_what_stood_there_and_folders_are_made(tmp_path):
    path = tmp_path / "a/b/file"
    for data, expected in ((b"\xff", b"\xff"), ("für", "für".encode())):
        write_whole(path, data)
        assert path.read_bytes() == expected
        assert names(path.parent) == ["file"]


def test_a_file_that_fails_half_way_leaves_the_former_one(tmp_path):
    write_whole(tmp_path / "file", "before")

    def write_half():
        with whole_file(tmp_path / "file") as temporary:
            temporary.write_text("half")
            assert (tmp_path / "file").read_text() == "before"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert (tmp_path / "file").read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TintypeError, match=r"cannot write .*file/below: "):
        write_whole(tmp_path / "file/below", b"")


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / ".folder.part").mkdir()
    (tmp_path / ".folder.part/of a killed process").touch()
    for content in ("one", "two"):
        with whole_folder(tmp_path / "folder") as temporary:
            (temporary / content).touch()
            assert content == "one" or names(tmp_path / "folder") == ["one"]
        assert names(tmp_path / "folder") == [content]
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "folder"):
        raise RuntimeError
    assert names(tmp_path / "folder") == ["two"]
    assert names(tmp_path) == ["folder"]
