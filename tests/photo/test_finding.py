import io
import tarfile
import zipfile

import pytest
from PIL import Image

from photo.archives import FileEntry, FileReader
from photo.finding import find_photographs
from photo.folders import list_folder


def encoded(format):
    file = io.BytesIO()
    Image.new("L", (8, 8), 90).save(file, format)
    return file.getvalue()


FILES = {
    "a.jpg": b"its name says it",
    "b.jfif": encoded("JPEG"),
    "box/c.JPE": encoded("JPEG"),
    "box/no suffix": encoded("PNG"),
    "box/harbour.1971": encoded("TIFF"),
    "bitmap": encoded("BMP"),
    "BMW.txt": b"BMW, Mercedes and others",
    "notes.txt": b"notes",
    "README": b"",
}
PHOTOGRAPHS = {
    "a.jpg": "", "b.jfif": "", "box/c.JPE": "", "box/no suffix": ".png", "box/harbour.1971": ".tiff", "bitmap": ".bmp"
}  # fmt: skip
OTHERS = "3 other files are no photographs: 2 .txt, 1 without a suffix"


@pytest.fixture
def album(tmp_path):
    """The files in a folder, in a zip and in a tar, beside one another."""
    for name, content in FILES.items():
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with zipfile.ZipFile(tmp_path / "album.zip", "w") as archive:
        for name in FILES:
            archive.write(tmp_path / "album" / name, name)
    with tarfile.open(tmp_path / "album.tar", "w") as archive:
        archive.add(tmp_path / "album", ".")
    return tmp_path


def find(location, **options):
    with FileReader() as reader:
        found = list(find_photographs(list_folder(str(location)), str(location), reader, **options))
    entries = {each.name: each.suffix for each in found if isinstance(each, FileEntry)}
    return entries, [each for each in found if not isinstance(each, FileEntry)]


@pytest.mark.parametrize("kind", ["album", "album.zip", "album.tar"])
def test_photographs_are_found_by_suffix_or_content_and_the_others_are_counted_in_one_line(album, kind):
    entries, left_out = find(album / kind)
    assert entries == PHOTOGRAPHS
    assert left_out == [(str(album / kind), "other_files", OTHERS)]


def test_a_file_that_somebody_named_is_taken_whatever_it_holds(album):
    assert find(album / "album" / "notes.txt") == ({"notes.txt": ""}, [])


def test_archives_that_cannot_be_used_have_one_line_each(album, tmp_path):
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as archive:
        archive.write(album / "album.zip", "inner.zip")
        archive.writestr("a.jpg", b"")
    assert find(outer) == (
        {"a.jpg": ""},
        [("inner.zip", "nested_archive", "an archive inside an archive is not opened; unpack it first")],
    )
    locked = bytearray((album / "album.zip").read_bytes())
    position = 0
    while (position := locked.find(b"PK\x01\x02", position)) >= 0:  # the flag of encryption, in the directory
        locked[position + 8] |= 1
        position += 4
    (tmp_path / "locked.zip").write_bytes(locked)
    assert find(tmp_path / "locked.zip") == (
        {},
        [(str(tmp_path / "locked.zip"), "locked_archive", "9 files in it need a password; unpack it first")],
    )
    (tmp_path / "cut.zip").write_bytes((album / "album.zip").read_bytes()[:100])
    ((name, reason, _),) = find(tmp_path / "cut.zip")[1]
    assert (name, reason) == (str(tmp_path / "cut.zip"), "damaged_archive")


def test_archives_are_named_where_they_are_not_opened(album):
    entries, left_out = find(album, open_archives=False)
    assert set(entries) == {f"album/{name}" for name in PHOTOGRAPHS}
    assert [(each.name, each.reason) for each in left_out[:2]] == [("album.tar", "archive"), ("album.zip", "archive")]
