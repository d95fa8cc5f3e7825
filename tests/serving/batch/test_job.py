import json
import os
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from PIL.ExifTags import Base as Tag

from serving.batch.job import BatchJob, Summary, check_summary, local_options, run_batch
from serving.batch.models import SavedModelHandler, server_handler
from serving.batch.outputs import BatchStopped, OutputSettings
from serving.client.colorizer import Colorizer
from serving.client.errors import TintypeError
from tests.serving.batch.conftest import files, write_photo


def report(folder):
    return [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]


def manifest(folder):
    return pyarrow.parquet.read_table(folder / "manifest.parquet").to_pylist()


ALL_SCANS = ["a.jpg", "b.png", "box/c.JPG", "box/deeper/d.tif", "box/deeper/e.webp"]


def test_a_tree_is_mirrored_and_the_bad_ones_are_reported(colored, scans, tmp_path):
    summary = colored(scans, sample=9)
    assert (summary.done, summary.skipped, summary.failed) == (5, 0, {"not_an_image": 1})
    out = tmp_path / "out"
    assert files(out) == ALL_SCANS
    (bad,) = report(out)
    assert (bad["path"], bad["reason"]) == (str(scans / "box/text.jpg"), "not_an_image")
    rows = {row["output"]: row for row in manifest(out)}
    assert sorted(rows) == ALL_SCANS
    row = rows["box/deeper/d.tif"]
    assert (row["path"], row["status"], row["width"], row["height"]) == (
        str(scans / "box/deeper/d.tif"),
        "done",
        40,
        30,
    )
    assert row["output_bytes"] == (out / "box/deeper/d.tif").stat().st_size
    assert (row["model_version"], row["model_fingerprint"]) == ("1", "tiny")
    assert row["milliseconds"] > 0
    assert json.loads((out / "summary.json").read_text())["done"] == 5
    page = (out / "contact_sheet.html").read_text()
    assert page.count("<img") == 5
    assert "box/deeper/e.webp" in page


def test_the_files_are_those_of_tintype_colorize(colored, scans, tmp_path, wire_server, tiny_model):
    colored(scans)
    local = colored(scans, output=str(tmp_path / "local"), handler=SavedModelHandler(str(tiny_model.parent)))
    assert local.done == 5
    with Colorizer(wire_server.address) as colorizer:
        for name in ALL_SCANS:
            colorizer.colorize_file(scans / name, tmp_path / "single" / name)
            expected = (tmp_path / "single" / name).read_bytes()
            assert (tmp_path / "out" / name).read_bytes() == expected
            assert (tmp_path / "local" / name).read_bytes() == expected
    assert {row["model_version"] for row in manifest(tmp_path / "local")} == {"7"}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    from tests.tiny_models import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("colorizer") / "7")


def test_what_is_done_is_skipped_until_content_settings_model_or_output_change(colored, scans, tmp_path, handler):
    out = tmp_path / "out"
    colored(scans)
    written = {name: (out / name).stat().st_mtime_ns for name in ALL_SCANS}
    first = manifest(out)

    half = [out / "box" / ".0123456789abcdef.part", out / "beam-temp-report.jsonl-0123" / "x"]
    for path in half:
        path.parent.mkdir(exist_ok=True)
        path.write_text("what a killed run leaves")
    again = colored(scans)
    assert (again.done, again.skipped, again.bad) == (0, 5, 1)
    assert not any(path.exists() or (path.parent.name.startswith("beam") and path.parent.exists()) for path in half)
    assert {name: (out / name).stat().st_mtime_ns for name in ALL_SCANS} == written
    assert [row | {"status": "done"} for row in manifest(out)] == first
    assert len(report(out)) == 1

    write_photo(scans / "a.jpg", 99)
    (out / "b.png").unlink()
    (out / "box/c.JPG").write_bytes(b"cut short")
    os.utime(scans / "box/deeper/d.tif")  # the same content
    changed = colored(scans)
    assert (changed.done, changed.skipped) == (3, 2)
    assert Image.open(out / "box/c.JPG").size == (40, 30)

    assert colored(scans, settings=OutputSettings(strength=0.5)).done == 5
    other = type(handler)(
        handler.server, replace(handler.identity(), fingerprint="other"), handler.settings, batch_size=3
    )
    assert colored(scans, settings=OutputSettings(strength=0.5), handler=other).done == 5


def test_metadata_stays_and_format_quality_and_names_can_be_chosen(colored, tmp_path):
    exif = Image.Exif()
    exif[Tag.Artist] = "Nadar"
    exif[Tag.Orientation] = 6
    write_photo(tmp_path / "in" / "box" / "one.jpg", exif=exif, dpi=(300, 300))
    colored(tmp_path / "in", settings=OutputSettings("tiff", "{folder}-{stem}-coloured{suffix}"))
    assert files(tmp_path / "out") == ["box/box-one-coloured.tiff"]
    with Image.open(tmp_path / "out/box/box-one-coloured.tiff") as image:
        assert image.size == (30, 40)
        assert image.getexif()[Tag.Artist] == "Nadar"
        assert image.getexif().get(Tag.Orientation, 1) == 1
        assert tuple(map(round, image.info["dpi"])) == (300, 300)


@pytest.mark.parametrize(
    "name", ["{stem}", "x{suffix}", "{stem}/{suffix}", "{stem}{nonsense}{suffix}", "{stem}{suffix"]
)
def test_a_wrong_pattern_is_refused(name):
    with pytest.raises(ValueError, match=r"pattern"):
        OutputSettings(name=name)


def test_archives_are_read_in_place_and_photographs_of_one_name_are_told_apart(colored, scans, tmp_path):
    with zipfile.ZipFile(scans / "box.zip", "w") as archive:
        for name in ALL_SCANS:
            archive.write(scans / name, name)
    with tarfile.open(tmp_path / "box.tar.gz", "w:gz") as archive:
        for name in reversed(ALL_SCANS):
            archive.add(scans / name, name)
    (scans / "cut.zip").write_bytes((scans / "box.zip").read_bytes()[:500])
    summary = colored(scans, tmp_path / "box.tar.gz")
    assert (summary.done, summary.failed) == (15, {"not_an_image": 1, "damaged_archive": 1})
    names = files(tmp_path / "out")
    assert {*ALL_SCANS, *(f"box.zip/{name}" for name in ALL_SCANS)} < set(names)
    assert len(names) == 15
    content = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    assert len(set(content.values())) == 5
    again = colored(tmp_path / "box.tar.gz", scans)
    assert (again.done, again.skipped, files(tmp_path / "out")) == (0, 15, names)


def test_too_many_bad_ones_or_none_at_all_fail_the_job(colored, handler, scans, tmp_path):
    summary = colored(scans)
    job = BatchJob([str(scans)], str(tmp_path / "out"), handler, max_bad_share=0.1)
    with pytest.raises(TintypeError, match=r"1 of 6 photographs failed \(1 not_an_image\).*report.jsonl"):
        check_summary(summary, job)
    check_summary(summary, replace(job, max_bad_share=0.2))
    with pytest.raises(TintypeError, match="no photographs in nowhere"):
        check_summary(Summary(0, 0, {}, 1.0, 0.0), replace(job, inputs=["nowhere"]))


def test_a_server_that_goes_away_stops_the_job_and_nothing_is_blamed_on_photographs(colored, wire_server, tmp_path):
    import grpc

    for number in range(8):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    handler = server_handler(wire_server.address, timeout=0.6, batch_size=2)
    wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "restarting")] * 2
    assert colored(tmp_path / "in").done == 8
    wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "gone")] * 500
    with pytest.raises(BatchStopped, match="did not answer within"):
        colored(tmp_path / "in", handler=handler, output=str(tmp_path / "other"))
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "Servable not found")]
    with pytest.raises(BatchStopped, match="refused with NOT_FOUND"):
        colored(tmp_path / "in", handler=handler, output=str(tmp_path / "other"))


def test_one_photograph_that_the_server_refuses_is_named_and_its_batch_goes_on(colored, wire_server, tmp_path):
    import grpc

    for number in range(4):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    handler = server_handler(wire_server.address, timeout=10, batch_size=4)
    wire_server.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "no")] * 2  # the batch, and the first of it
    summary = colored(tmp_path / "in", handler=handler)
    assert (summary.done, summary.failed) == (3, {"refused": 1})
    wire_server.squares.clear()
    colored(tmp_path / "in", handler=handler, output=str(tmp_path / "again"))
    assert wire_server.squares == [(4, 32, 32, 1)]


def test_a_second_job_into_the_same_folder_is_refused(colored, scans, tmp_path):
    import fcntl

    (tmp_path / "out/.tintype").mkdir(parents=True)
    with open(tmp_path / "out/.tintype/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TintypeError, match="another job writes into"):
            colored(scans)


@pytest.mark.slow
def test_several_processes_give_the_same_files_as_one(colored, handler, scans, tmp_path):
    colored(scans)
    job = BatchJob([str(scans)], str(tmp_path / "out2"), handler)
    assert run_batch(job, local_options(2), show_progress=False).done == 5
    for name in ALL_SCANS:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


def test_a_large_photograph_does_not_share_a_batch(handler):
    from types import SimpleNamespace

    def weight(pixels: int) -> int:
        return handler.weight(SimpleNamespace(prepared=SimpleNamespace(lightness=np.empty(pixels, np.bool_))))

    assert weight(1_000_000) == 1
    assert weight(100_000_000) >= handler.batch_size


@pytest.mark.slow
def test_a_photograph_of_a_hundred_megapixels_among_small_ones_does_not_end_the_job(colored, tmp_path):
    for number in range(4):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    Image.new("L", (12_500, 8_000), 90).save(tmp_path / "in" / "2-large.jpg")
    assert colored(tmp_path / "in").done == 5
    with Image.open(tmp_path / "out" / "2-large.jpg") as image:
        assert image.size == (12_500, 8_000)
