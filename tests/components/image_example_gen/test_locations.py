import pytest

from components.image_example_gen.listing import check_locations, fingerprint_locations, list_photographs
from components.image_example_gen.locations import split_locations
from photo.errors import DataError
from serving.batch.file_systems import find_photographs, fingerprint
from tests.components.image_example_gen.photographs import write_good


def test_one_place_is_what_it_was(tmp_path):
    folder = str(write_good(tmp_path / "a", 2))
    assert split_locations(folder) == (folder,)
    assert fingerprint_locations(folder) == fingerprint(folder)
    assert list(list_photographs(folder)) == list(find_photographs(folder))


def test_of_several_places_each_gives_its_name_to_its_photographs(tmp_path):
    one, two = (str(write_good(tmp_path / name, 2)) for name in ("one", "two"))
    entries = list(list_photographs(f"{one}\n{two}\n"))
    assert len(entries) == 4
    assert {entry.name.split("/")[0] for entry in entries} == {"one", "two"}
    before = fingerprint_locations(f"{one}\n{two}")
    write_good(tmp_path / "two", 3)
    assert fingerprint_locations(f"{one}\n{two}") != before


def test_a_place_that_is_not_there_and_two_of_one_name_are_named(tmp_path):
    one = str(write_good(tmp_path / "one", 2))
    with pytest.raises(DataError, match=r"no such folder or archive of photographs: .*absent"):
        check_locations(f"{one}\n{tmp_path / 'absent'}")
    with pytest.raises(DataError, match="are both called one: rename one"):
        check_locations(f"{one}\n{tmp_path / 'other' / 'one.tar.gz'}")
