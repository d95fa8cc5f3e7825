import os
import zipfile
from pathlib import Path

import pytest
from tfx.proto import example_gen_pb2, range_config_pb2

from components.image_example_gen.driver import PhotoInputProcessor
from photo.errors import DataError
from tests.components.image_example_gen.photographs import encoded, picture, write_good


def resolve(base: Path, pattern: str = "*", span: int | None = None) -> tuple[str, int, int | None]:
    chosen = None
    if span is not None:
        chosen = range_config_pb2.RangeConfig(
            static_range=range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
        )
    splits = [example_gen_pb2.Input.Split(name="photographs", pattern=pattern)]
    processor = PhotoInputProcessor(str(base), splits, chosen)
    found, version = processor.resolve_span_and_version()
    return processor.get_input_fingerprint(found, version), found, version


def test_an_unchanged_folder_keeps_its_fingerprint(tmp_path):
    write_good(tmp_path, 4)
    assert resolve(tmp_path) == resolve(tmp_path)
    assert resolve(tmp_path)[1:] == (0, None)


def test_any_change_below_the_folder_changes_the_fingerprint(tmp_path):
    write_good(tmp_path, 4)
    seen = [resolve(tmp_path)[0]]
    photograph = tmp_path / "street/night/00.jpg"

    (tmp_path / "street/night/new.jpg").write_bytes(encoded(picture(9)))
    seen.append(resolve(tmp_path)[0])
    photograph.rename(photograph.with_name("renamed.jpg"))
    seen.append(resolve(tmp_path)[0])
    os.utime(photograph.with_name("renamed.jpg"), ns=(1, 1))
    seen.append(resolve(tmp_path)[0])
    photograph.with_name("renamed.jpg").unlink()
    seen.append(resolve(tmp_path)[0])
    assert len(set(seen)) == 5


def test_a_changed_archive_changes_the_fingerprint(tmp_path):
    archive = tmp_path / "photos.zip"
    seen = []
    for index in range(2):
        with zipfile.ZipFile(archive, "a") as stream:
            stream.writestr(f"{index}.jpg", encoded(picture(index)))
        seen.append(resolve(archive)[0])
    assert len(set(seen)) == 2
    assert seen[-1] == resolve(archive)[0]


def test_several_places_are_fingerprinted_together_and_take_no_span(tmp_path):
    for name in ("one", "two"):
        write_good(tmp_path / name, 2)
    both = f"{tmp_path / 'one'}\n{tmp_path / 'two'}"
    before = resolve(both)
    assert before == resolve(both)
    write_good(tmp_path / "two", 3)
    assert resolve(both)[0] != before[0]
    with pytest.raises(DataError, match="takes one folder, not several"):
        resolve(both, "day-{SPAN}/*")


def test_the_latest_span_and_version_are_taken_and_fingerprinted_alone(tmp_path):
    for span, version in ((1, 1), (2, 1), (2, 3)):
        write_good(tmp_path / f"day-{span}/v{version}", 2)
    latest = resolve(tmp_path, "day-{SPAN}/v{VERSION}/*")
    assert latest[1:] == (2, 3)
    write_good(tmp_path / "day-1/v1", 3)
    assert resolve(tmp_path, "day-{SPAN}/v{VERSION}/*") == latest
    write_good(tmp_path / "day-2/v3", 3)
    assert resolve(tmp_path, "day-{SPAN}/v{VERSION}/*")[0] != latest[0]
    assert resolve(tmp_path, "day-{SPAN}/v{VERSION}/*", span=1)[1:] == (1, 1)


def test_spans_may_be_archives(tmp_path):
    for span in (3, 11):
        with zipfile.ZipFile(tmp_path / f"{span}.zip", "w") as stream:
            stream.writestr("a.jpg", encoded(picture(span)))
    assert resolve(tmp_path, "{SPAN}.zip")[1] == 11


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such folder or archive of photographs: .*absent"):
        resolve(tmp_path / "absent")


def test_a_url_without_a_filesystem_is_named():
    processor = PhotoInputProcessor("nosuch://bucket", [example_gen_pb2.Input.Split(name="photographs", pattern="*")])
    with pytest.raises(DataError, match="no filesystem for nosuch://bucket"):
        processor.resolve_span_and_version()
