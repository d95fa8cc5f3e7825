import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from photo.archives import FileEntry
from serving.batch.elements import shown_path
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import file_reader
from serving.batch.finding import find_photos
from serving.batch.outcomes import Outcome

NAMES = ["a.jpg", "b.png", "box/c.JPG", "box/deeper/d.tif", "box/deeper/e.webp"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files whose content is their name, beside the same as archives."""
    for name in [*NAMES, "notes.doc", ".hidden.jpg"]:
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for name in NAMES:
            archive.write(tmp_path / "scans" / name, name)
    for kind in ("tar", "tar.gz"):
        with tarfile.open(tmp_path / f"scans.{kind}", f"w:{kind[4:]}") as archive:
            for name in reversed(NAMES):
                archive.add(tmp_path / "scans" / name, name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(location: str | Path, output: str | Path = "out", **options: str) -> list[FileEntry | Outcome]:
    return list(find_photos(str(location), output=str(output), **options))


def names(location: str | Path, **options: str) -> list[str]:
    return sorted(each.name for each in found(location, **options) if isinstance(each, FileEntry))


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("kind", ["scans", "scans/", "scans/**/*.*", "scans.zip", "scans.tar", "scans.tar.gz"])
def test_a_folder_a_glob_and_an_archive_give_the_same_names_and_content(folder, kind, absolute):
    location = f"{folder}/{kind}" if absolute else kind
    entries = [entry for entry in found(location) if isinstance(entry, FileEntry)]
    assert sorted(entry.name for entry in entries) == NAMES
    with file_reader(any_order=True) as reader:
        for entry in sorted(entries):  # another order than the archive's
            with reader.open(entry) as stream:
                assert stream.read().decode() == entry.name


def test_two_stars_stand_for_any_folders_and_for_none(folder):
    assert names("scans/**/*.[jJ][pP][gG]") == ["a.jpg", "box/c.JPG"]
    assert names("**/deeper/*") == ["scans/box/deeper/d.tif", "scans/box/deeper/e.webp"]
    assert names("*/box/**/*.tif") == ["scans/box/deeper/d.tif"]


def test_brackets_in_the_name_of_a_folder_are_letters(folder):
    (folder / "scans").rename(folder / "scans [1971]*")
    for location in ("scans [1971]*", "scans [1971]*/**/*.*", f"{folder}/scans [1971]*/**/*.[jJptw]*"):
        assert names(location) in (NAMES, sorted(NAMES))
    assert names("scans [1971]*/box/*") == ["c.JPG"]
    assert names("*/a.jpg") == ["scans [1971]*/a.jpg"]


def test_other_files_are_one_outcome_and_no_failure(folder):
    (other,) = [each for each in found("scans") if isinstance(each, Outcome)]
    assert (other.path, other.status) == (f"{folder}/scans", "passed_over")
    assert other.detail == "1 other file is no photograph: 1 .doc"


def test_a_list_names_photographs_from_its_own_folder_and_what_is_missing_is_told(folder):
    lines = ["scans/a.jpg", "", "scans/box", "scans/gone.jpg", f"{folder}/scans/b.png", "more.txt"]
    (folder / "photos.txt").write_text("\n".join(lines))
    results = found("photos.txt")
    taken = [each for each in results if isinstance(each, FileEntry)]
    assert [each.name for each in taken[:-1]] == [f"scans/{name}" for name in [NAMES[0], *NAMES[2:]]]
    assert taken[-1].name == f"{folder}/scans/b.png"[1:]  # an absolute path is mirrored as a whole
    failures = [(each.path, each.reason) for each in results if isinstance(each, Outcome)]
    assert failures == [(f"{folder}/scans/gone.jpg", "not_found"), ("more.txt", "not_an_image")]
    assert names("photos.txt", root="scans")[:2] == ["a.jpg", "b.png"]


def test_results_are_passed_over_and_never_mixed_with_the_photographs(folder):
    (folder / "scans/out").mkdir()
    (folder / "scans/out/a.jpg").write_text("coloured")
    for location in ("scans", "scans/**/*.jpg"):
        assert "out/a.jpg" not in names(location, output="scans/out")
    for location in ("scans", "scans/*.jpg", "scans/a.jpg"):
        with pytest.raises(BatchStopped, match="folder of the photographs themselves"):
            found(location, output=folder / "scans")


def test_what_is_damaged_or_missing_is_an_outcome(folder):
    (folder / "cut.zip").write_bytes((folder / "scans.zip").read_bytes()[:200])
    os.symlink("nowhere", folder / "link.jpg")
    assert [each.reason for location in ("cut.zip", "gone", "gone.txt") for each in found(location)] == [
        "damaged_archive", "not_found", "not_found"
    ]  # fmt: skip
    assert found("gone/*.jpg") == []


def test_a_member_of_an_archive_is_shown_with_its_archive(folder):
    assert shown_path(found("scans.zip")[0]) == f"{folder}/scans.zip!a.jpg"
