"""What counts as a version under a base path, whoever lists it."""

import pytest

from serving.model.version_folders import (
    Version,
    list_versions,
    newest_version,
    numbered,
    versions_under,
    without_file_scheme,
)


def test_only_folders_named_by_an_integer_and_holding_a_saved_model_are_versions(tmp_path):
    for name in ("7", "0012", "-1", "1.5", "tmp-3", "²", "9" * 30):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "8").mkdir()
    (tmp_path / "9").touch()
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "saved_model.pbtxt").touch()
    assert versions_under(str(tmp_path)) == {
        n: f"{tmp_path}/{name}" for n, name in [(7, "7"), (10, "10"), (12, "0012")]
    }


def test_servers_and_pushers_see_the_same_versions(tmp_path):
    for name, is_complete in (("3", True), ("12", True), ("13", False), ("incoming", True), ("9" * 30, True)):
        (tmp_path / name).mkdir()
        if is_complete:
            (tmp_path / name / "saved_model.pb").touch()
    three, twelve, thirteen = (Version(n, f"{tmp_path}/{n}", n < 13) for n in (3, 12, 13))
    assert list_versions(f"{tmp_path}/") == [three, twelve, thirteen]
    assert newest_version(str(tmp_path)) == twelve
    assert list(versions_under(str(tmp_path))) == list(versions_under(f"file://{tmp_path}")) == [3, 12]


def test_of_two_names_with_one_number_the_last_in_the_alphabet_stands():
    assert numbered(["7", "007", "10", "x"]) == {7: "7", 10: "10"}


def test_a_base_path_that_is_not_there_is_an_error_on_every_file_system(tmp_path):
    for base_path in (f"{tmp_path}/nowhere", f"file://{tmp_path}/nowhere"):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            versions_under(base_path)


def test_a_file_address_is_a_path():
    assert without_file_scheme("file:///models/a") == without_file_scheme("/models/a") == "/models/a"
    assert without_file_scheme("gs://models/a") == "gs://models/a"
