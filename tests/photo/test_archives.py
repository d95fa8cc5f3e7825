import subprocess
import sys
import tarfile
import zipfile

import pytest

from photo.archives import FileReader
from photo.errors import DataError, PhotoError
from photo.finding import find_photographs
from photo.folders import list_folder

NAMES = ["a.jpg", "box/b.jpg", "box/deeper/c.jpg"]


@pytest.fixture
def folder(tmp_path):
    """A folder of files whose content is their name, beside the same as archives."""
    for name in NAMES:
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for name in NAMES:
            archive.write(tmp_path / "scans" / name, name)
    for kind in ("tar", "tar.gz"):
        with tarfile.open(tmp_path / f"scans.{kind}", f"w:{kind[4:]}") as archive:
            archive.add(tmp_path / "scans", ".")
    return tmp_path


def read(location):
    with FileReader() as reader:
        entries = list(find_photographs(list_folder(location), location, reader))
        return {entry.name: content for entry, content in reader.read_all(entries)}


@pytest.mark.parametrize("kind", ["scans", "scans.zip", "scans.tar", "scans.tar.gz"])
def test_a_folder_and_its_archives_give_the_same_files(folder, kind):
    assert read(str(folder / kind)) == {name: name.encode() for name in NAMES}


def test_archives_in_a_folder_prefix_the_names_of_their_members(folder):
    found = read(str(folder))
    assert {name.split("/")[0] for name in found} == {"scans", "scans.zip", "scans.tar", "scans.tar.gz"}
    assert found["scans.tar.gz/box/b.jpg"] == found["scans.zip/box/b.jpg"] == b"box/b.jpg"


def test_more_archives_than_stay_open_are_read_in_turns(folder):
    content = (folder / "scans.zip").read_bytes()
    (folder / "many").mkdir()
    for index in range(6):
        (folder / f"many/{index}.zip").write_bytes(content)
    location = str(folder / "many")
    with FileReader() as reader:
        entries = sorted(find_photographs(list_folder(location), location, reader), key=lambda entry: entry.position)
        contents = [content for _, content in reader.read_all(entries)]
    assert contents == [name.encode() for name in NAMES for _ in range(6)]


def test_a_file_that_has_gone_is_unreadable_and_a_damaged_archive_is_named(folder):
    with FileReader() as reader:
        entries = list(find_photographs(list_folder(str(folder / "scans")), str(folder / "scans"), reader))
        (folder / "scans/a.jpg").unlink()
        ((entry, content),) = [each for each in reader.read_all(entries) if isinstance(each[1], PhotoError)]
    assert (entry.name, content.reason) == ("a.jpg", "unreadable")
    (folder / "scans.tar.gz").write_bytes((folder / "scans.tar.gz").read_bytes()[:60])
    with pytest.raises(DataError, match=r"scans\.tar\.gz is damaged"):
        read(str(folder / "scans.tar.gz"))


def test_archives_are_read_without_beam():
    script = "import sys, photo.archives; assert 'apache_beam' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
