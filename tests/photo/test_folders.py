import os

import pytest

from photo.errors import DataError
from photo.folders import fingerprint_of, list_folder, portable_name, relative_name


@pytest.fixture
def folder(tmp_path):
    for name in ["b.jpg", "a/2.jpg", "a/1.jpg", ".hidden/x.jpg", "a/.x.jpg", "__MACOSX/x.jpg", "a/Thumbs.db"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(folder):
    return [relative_name(file.path, str(folder)) for file in list_folder(str(folder))]


def test_files_come_in_the_order_of_names_without_what_systems_leave(folder):
    assert names(folder) == ["b.jpg", "a/1.jpg", "a/2.jpg"]
    assert [relative_name(file.path, str(folder / "b.jpg")) for file in list_folder(str(folder / "b.jpg"))] == ["b.jpg"]


def test_a_circle_of_links_ends_and_a_pipe_is_never_opened(folder):
    (folder / "a/up").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    assert names(folder) == ["b.jpg", "gone.jpg", "a/1.jpg", "a/2.jpg"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot list .*absent"):
        list(list_folder(str(tmp_path / "absent")))


def test_the_fingerprint_follows_any_change_and_only_changes(folder):
    def fingerprint():
        return fingerprint_of(list_folder(str(folder)), str(folder))

    first = fingerprint()
    assert fingerprint() == first
    os.utime(folder / "b.jpg", ns=(1, 1))
    assert fingerprint() != first


@pytest.mark.parametrize(
    ("stem", "portable"),
    [
        ("grandmother", "grandmother"),
        ('who?: "me" <1*2>|a\\b/c\x00', "who__ _me_ _1_2__a_b_c_"),
        ("aux", "aux_"),
        ("Com1.old", "Com1_.old"),
        (" spaces and dots. .", "spaces and dots"),
        ("...", "photo"),
        ("\ud800", "_"),
        ("ü" * 150, "ü" * 100),
    ],
)
def test_a_portable_name_is_one_that_every_system_takes(stem, portable):
    assert portable_name(stem) == portable
