import errno
import gc
import json
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as Tag

from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo
from photo.errors import TintypeError
from photo.formats import PhotoFormat
from serving.batch.elements import LoadedPhoto, PreparedPhoto
from serving.batch.errors import BatchStopped
from serving.batch.job import BatchJob
from serving.batch.job_options import JobOptions
from serving.batch.local_runner import local_options
from serving.batch.model_in_worker import SavedModelHandler
from serving.batch.model_on_server import ServerHandler, server_handler
from serving.batch.output_lock import only_job_into
from serving.batch.output_settings import OutputSettings
from serving.batch.running import check_summary, run_batch
from serving.batch.summary import BatchSummary
from serving.client.colorizer import Colorizer
from serving.client.options import ConnectionOptions
from tests.serving.batch.conftest import files, manifest, quick, write_photo, write_portrait
from tests.url_file_system import DRAWER


def report(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]


ALL_SCANS = ["a.jpg", "b.png", "box/c.JPG", "box/deeper/d.tif", "box/deeper/e.webp"]


def test_a_tree_is_mirrored_and_the_bad_ones_are_reported(colored, scans, tmp_path):
    summary = colored(scans, sample=9)
    assert (summary.done, summary.skipped, summary.failed) == (5, 0, {"not_an_image": 1})
    out = tmp_path / "out"
    assert files(out) == ALL_SCANS
    bad, other = sorted(report(out), key=lambda line: line["reason"])
    assert (bad["path"], bad["reason"]) == (str(scans / "box/text.jpg"), "not_an_image")
    assert (other["path"], other["reason"]) == (str(scans), "passed_over")
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


@pytest.fixture
def portraits(tmp_path: Path) -> dict[str, Path]:
    """Photographs of many kinds and shapes; no two of one size."""
    folder = tmp_path / "portraits"
    return {
        path.name: path
        for path in (
            write_portrait(folder / "gray.png", (90, 70)),
            write_portrait(folder / "tall.jpg", (37, 400)),
            write_portrait(folder / "wide.jpg", (300, 41), mode="RGB"),
            write_portrait(folder / "sepia.jpg", (120, 151), mode="sepia", quality=95),
            write_portrait(folder / "turned.jpg", (160, 100), turned=6),
            write_portrait(folder / "mirrored.tif", (101, 64), turned=5),
            write_portrait(folder / "deep.png", (64, 64), mode="I;16"),
            write_portrait(folder / "alpha.webp", (130, 140), mode="RGBA", lossless=True),
            write_portrait(folder / "dot.bmp", (1, 1)),
        )
    }


def pixels(path: Path) -> NDArray[np.uint8 | np.uint16]:
    return decode_photo(path.read_bytes()).rgb


def test_every_pixel_is_that_of_tintype_colorize(colored, portraits, tmp_path, picture_model):
    """With a model in each worker and with a server, also where a photograph shared its batch with others."""
    from serving.server import EmbeddedServer, ServerOptions

    settings = OutputSettings(strength=1.3, keep_tint=True)
    with EmbeddedServer(ServerOptions("colorizer", picture_model.parent)) as server:
        address = f"localhost:{server.port}"
        handlers = {
            "served": server_handler(address, quick(60), batch_size=4),
            "loaded": SavedModelHandler(str(picture_model.parent), batch_size=4),
            "alone": SavedModelHandler(str(picture_model.parent), batch_size=1),
        }
        for name, handler in handlers.items():
            run = colored(portraits["gray.png"].parent, output=str(tmp_path / name), handler=handler, settings=settings)
            assert run.done == len(portraits)
            assert {row["model_version"] for row in manifest(tmp_path / name)} == {"7"}
        with Colorizer(address, ConnectionOptions(timeout=60)) as colorizer:
            for name, path in portraits.items():
                colorizer.colorize_file(path, tmp_path / "single" / name, ColoringOptions(strength=1.3, keep_tint=True))
    for name in portraits:
        expected = pixels(tmp_path / "single" / name)
        assert expected.shape[0] * expected.shape[1] == 1 or len(np.unique(expected.reshape(-1, 3), axis=0)) > 500
        for kind in handlers:
            np.testing.assert_array_equal(pixels(tmp_path / kind / name), expected, f"{name}, {kind}")


def test_a_kept_tint_stays_and_only_toned_photographs_are_coloured_again_for_it(colored, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    write_portrait(folder / "sepia.png", (60, 50), mode="sepia")
    write_portrait(folder / "gray.png", (60, 50))
    write_portrait(folder / "color.png", (60, 50), mode="RGB")
    kept = OutputSettings(strength=0.0, keep_tint=True)
    removed = replace(kept, keep_tint=False)

    assert colored(folder, settings=kept).done == 3
    sepia = pixels(folder / "sepia.png").astype(int)
    assert np.abs(pixels(out / "sepia.png") - sepia).max() <= 8  # a tint is a median
    assert {row["output"]: row["settings"].partition("strength 0")[2] for row in manifest(out)} == {
        "sepia.png": " tint kept",
        "gray.png": " no tint",
        "color.png": " no tint",
    }
    write_portrait(folder / "later.png", (50, 60))
    plain = colored(folder, settings=removed)
    assert (plain.done, plain.skipped) == (2, 2)
    assert np.ptp(pixels(out / "sepia.png").astype(int), axis=-1).max() <= 1

    later = (out / "later.png").stat().st_mtime_ns
    again = colored(folder, settings=kept)
    assert (again.done, again.skipped) == (1, 3)
    assert np.abs(pixels(out / "sepia.png") - sepia).max() <= 8
    assert (out / "later.png").stat().st_mtime_ns == later  # of it no record says that it has no tint


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
    assert len(report(out)) == 2

    write_photo(scans / "a.jpg", 99)
    (out / "b.png").unlink()
    (out / "box/c.JPG").write_bytes(b"cut short")
    os.utime(scans / "box/deeper/d.tif")  # the same content
    changed = colored(scans)
    assert (changed.done, changed.skipped) == (3, 2)
    assert Image.open(out / "box/c.JPG").size == (40, 30)

    assert colored(scans, settings=OutputSettings(strength=0.5)).done == 5
    own = handler.identity()
    identity = replace(own, description=replace(own.description, fingerprint="other"))
    other = ServerHandler(handler.server, identity, handler.connection, batch_size=3)
    assert colored(scans, settings=OutputSettings(strength=0.5), handler=other).done == 5


def test_metadata_stays_and_format_quality_and_names_can_be_chosen(colored, tmp_path):
    exif = Image.Exif()
    exif[Tag.Artist] = "Nadar"
    exif[Tag.Orientation] = 6
    write_photo(tmp_path / "in" / "box" / "one.jpg", exif=exif, dpi=(300, 300))
    colored(tmp_path / "in", settings=OutputSettings(format=PhotoFormat.TIFF, name="{folder}-{stem}-coloured{suffix}"))
    assert files(tmp_path / "out") == ["box/box-one-coloured.tiff"]
    with Image.open(tmp_path / "out/box/box-one-coloured.tiff") as image:
        assert image.size == (30, 40)
        assert image.getexif()[Tag.Artist] == "Nadar"
        assert image.getexif().get(Tag.Orientation, 1) == 1
        assert tuple(map(round, image.info["dpi"])) == (300, 300)


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
    # By their pixels: the metadata name the second in which each was coloured.
    content = {decode_photo((tmp_path / "out" / name).read_bytes()).rgb.tobytes() for name in names}
    assert len(content) == 5
    again = colored(tmp_path / "box.tar.gz", scans)
    assert (again.done, again.skipped, files(tmp_path / "out")) == (0, 15, names)


def test_too_many_bad_ones_or_none_at_all_fail_the_job(handler, scans, tmp_path):
    summary = BatchSummary(5, 0, {"not_an_image": 1}, 1.0, 5.0)
    job = BatchJob([str(scans)], str(tmp_path / "out"), handler, options=JobOptions(max_bad_share=0.1))
    with pytest.raises(TintypeError, match=r"1 of 6 photographs failed \(1 not_an_image\).*report.jsonl"):
        check_summary(summary, job)
    check_summary(summary, replace(job, options=JobOptions(max_bad_share=0.2)))
    with pytest.raises(TintypeError, match="no photographs in nowhere"):
        check_summary(BatchSummary(0, 0, {}, 1.0, 0.0), replace(job, inputs=["nowhere"]))


def test_a_server_that_goes_away_stops_the_job_and_nothing_is_blamed_on_photographs(colored, wire_server, tmp_path):
    import grpc

    for number in range(8):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    handler = server_handler(wire_server.address, quick(0.6), batch_size=2)
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
    handler = server_handler(wire_server.address, quick(), batch_size=4)
    wire_server.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "no")] * 2  # the batch, and the first of it
    summary = colored(tmp_path / "in", handler=handler)
    assert (summary.done, summary.failed) == (3, {"refused": 1})
    wire_server.squares.clear()
    colored(tmp_path / "in", handler=handler, output=str(tmp_path / "again"))
    assert wire_server.squares == [(4, 32, 32, 1)]


def test_results_that_cannot_be_written_are_named_and_the_others_go_on(colored, scans, tmp_path, monkeypatch):
    out, faults = tmp_path / "out", {"a.jpg": errno.EACCES, "b.png": errno.ENOSPC}
    (out / "box" / "c.JPG").mkdir(parents=True)
    (out / "box" / "deeper").write_text("a file in the place of a folder")
    (scans / "box" / "f.jpg").write_bytes((scans / "a.jpg").read_bytes())
    replace_file = os.replace

    def replace_or_refuse(source, target):
        if fault := faults.get(Path(target).name):
            raise OSError(fault, os.strerror(fault))
        replace_file(source, target)

    monkeypatch.setattr("photo.whole_file.os.replace", replace_or_refuse)
    summary = colored(scans)
    assert (summary.done, summary.failed) == (1, {"not_an_image": 1, "unwritable": 5})
    details = {Path(line["path"]).name: line["detail"] for line in report(out) if line["reason"] == "unwritable"}
    assert {name: detail.partition(": ")[2] for name, detail in details.items()} == {
        "a.jpg": "Permission denied",
        "b.png": "No space left on device",
        "c.JPG": "Is a directory",
        "d.tif": "File exists",
        "e.webp": "File exists",
    }
    assert all(str(out) in detail for detail in details.values())
    assert [row["output"] for row in manifest(out)] == ["box/f.jpg"]


def test_a_job_that_can_write_nothing_ends_with_the_reason(colored, handler, scans, tmp_path):
    (tmp_path / "out" / "a.jpg").mkdir(parents=True)
    job = BatchJob([str(scans / "a.jpg")], str(tmp_path / "out"), handler, options=JobOptions(max_bad_share=1.0))
    with pytest.raises(TintypeError, match=r"none of the 1 photographs .*\(1 unwritable\).*a\.jpg: Is a directory"):
        check_summary(colored(scans / "a.jpg"), job)
    records = tmp_path / "other" / ".tintype" / "records"
    records.parent.mkdir(parents=True)
    records.write_text("a file in the place of a folder")
    with pytest.raises(BatchStopped, match=r"cannot read the records .*records: .*Not a directory"):
        colored(scans / "b.png", output=str(tmp_path / "other"))


def test_photographs_in_colour_are_noted_or_left_as_they_are(colored, tmp_path):
    write_portrait(tmp_path / "in" / "gray.png", (60, 50))
    write_portrait(tmp_path / "in" / "color.png", (60, 50), mode="RGB")
    assert colored(tmp_path / "in").done == 2
    notes = {row["output"]: row["notes"] for row in manifest(tmp_path / "out")}
    assert notes == {"gray.png": "", "color.png": "it had colour already, which was replaced"}
    skipping = colored(tmp_path / "in", output=str(tmp_path / "gray"), settings=OutputSettings(color_photos="skip"))
    assert (skipping.done, skipping.bad, files(tmp_path / "gray")) == (1, 0, ["gray.png"])
    (line,) = report(tmp_path / "gray")
    assert (line["path"], line["reason"]) == (str(tmp_path / "in" / "color.png"), "passed_over")


def test_wildcards_in_the_names_of_folders_are_letters(colored, scans, tmp_path):
    scans.rename(tmp_path / "scans [1971]")
    out = tmp_path / "out [a]*?"
    first = colored(tmp_path / "scans [1971]", output=str(out), sample=2)
    assert (first.done, first.failed) == (5, {"not_an_image": 1})
    assert files(out) == ALL_SCANS
    assert len(manifest(out)) == 5
    again = colored(tmp_path / "scans [1971]", output=str(out))
    assert (again.done, again.skipped) == (0, 5)


def test_a_job_that_is_stopped_leaves_report_and_manifest_of_what_it_did(colored, wire_server, scans, tmp_path):
    import grpc

    colored(scans)
    write_photo(scans / "later.jpg", 7)
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "Servable not found")]
    with pytest.raises(BatchStopped, match="NOT_FOUND"):
        colored(scans)
    (line,) = report(tmp_path / "out")
    assert (line["reason"], "NOT_FOUND" in line["detail"]) == ("stopped", True)
    assert sorted(row["output"] for row in manifest(tmp_path / "out")) == ALL_SCANS
    assert not list((tmp_path / "out").glob("beam-temp-*"))


def test_a_second_job_into_the_same_folder_is_refused(colored, scans, tmp_path):
    with only_job_into(str(tmp_path / "out")), pytest.raises(TintypeError, match="another job writes into"):
        colored(scans)


@pytest.mark.slow
def test_several_processes_give_the_same_files_as_one(colored, handler, scans, tmp_path):
    colored(scans)
    job = BatchJob([str(scans)], str(tmp_path / "out2"), handler)
    assert run_batch(job, local_options(2), show_progress=False).done == 5
    for name in ALL_SCANS:
        # Their files differ in the second that they name.
        one, other = (decode_photo((tmp_path / out / name).read_bytes()).rgb for out in ("out", "out2"))
        np.testing.assert_array_equal(one, other)


def test_a_worker_holds_the_photographs_of_one_batch_and_the_bytes_of_a_few_files(colored, wire_server, tmp_path):
    for number in range(14):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    decoded, undecoded = [], []

    def look(ab):
        held = gc.get_objects()  # also what another test's error still holds
        decoded.append(sum(isinstance(each, PreparedPhoto) and is_ours(each) for each in held))
        undecoded.append(sum(isinstance(each, LoadedPhoto) and is_ours(each) and bool(each.data) for each in held))
        return ab

    def is_ours(photo: LoadedPhoto | PreparedPhoto) -> bool:
        return photo.task.entry.location.startswith(str(tmp_path))

    wire_server.spoil = look
    assert colored(tmp_path / "in").done == 14
    assert len(decoded) == 5
    assert max(decoded) <= 3 + 1  # the batch, and one whose outcome is being told
    assert max(undecoded) <= 4  # read ahead


def test_another_filesystem_of_beam_is_read_and_written_like_this_machines(colored, scans, tmp_path):
    out = f"{DRAWER}{tmp_path}/out"
    first = colored(f"{DRAWER}{scans}", output=out, sample=2)
    assert (first.done, first.failed) == (5, {"not_an_image": 1})
    assert files(tmp_path / "out") == ALL_SCANS
    assert (tmp_path / "out/contact_sheet.html").read_text().count("<img") == 2
    again = colored(f"{DRAWER}{scans}", output=out)
    assert (again.done, again.skipped) == (0, 5)


def test_a_large_photograph_does_not_share_a_batch(handler):
    from types import SimpleNamespace

    def weight(pixels: int, pages: int = 1) -> int:
        page = SimpleNamespace(prepared=SimpleNamespace(lightness=np.empty(pixels, np.bool_)))
        return handler.weight(SimpleNamespace(pages=(page,) * pages))

    assert weight(1_000_000) == 1
    assert weight(100_000_000) >= handler.batch_size
    assert weight(1_000_000, pages=100) == weight(100_000_000)


@pytest.mark.slow
def test_a_photograph_of_a_hundred_megapixels_among_small_ones_does_not_end_the_job(colored, tmp_path):
    for number in range(4):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    Image.new("L", (12_500, 8_000), 90).save(tmp_path / "in" / "2-large.jpg")
    assert colored(tmp_path / "in").done == 5
    with Image.open(tmp_path / "out" / "2-large.jpg") as image:
        assert image.size == (12_500, 8_000)
