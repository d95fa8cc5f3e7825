"""Hints of one file for all or beside the photographs, and sides at which the model is asked, in a batch job."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photo.decoding import decode_photo
from photo.errors import TintypeError
from photo.hints import Hint
from serving.batch.hints import read_job_hints
from serving.batch.job import BatchJob
from serving.batch.job_options import JobOptions
from serving.batch.local_runner import local_options
from serving.batch.model_on_server import server_handler
from serving.batch.output_settings import OutputSettings
from serving.batch.running import run_batch
from tests.serving.batch.conftest import quick, write_photo
from tests.serving.batch.test_pages import album
from tests.serving.wire_server import WireServer, running

BROWN = [{"x": 0.5, "y": 0.5, "color": "#9a6b3c", "radius": 0.2}]


@pytest.fixture
def guided_server():
    with running(WireServer(has_guided=True)) as served:
        yield served


@pytest.fixture
def batch(tmp_path, guided_server):
    def run(*inputs: Path, server: WireServer = guided_server, hints: Path | None = None, **settings):
        job = BatchJob(
            [str(each) for each in inputs],
            str(tmp_path / "out"),
            server_handler(server.address, quick(), batch_size=3),
            OutputSettings(**settings),
            JobOptions(sample=0, hints=None if hints is None else str(hints)),
        )
        return run_batch(job, local_options(1), show_progress=False)

    return run


def outcomes(folder: Path) -> dict[str, dict]:
    lines = (folder / "out" / "report.jsonl").read_text().splitlines()
    return {Path(line["path"]).name: line for line in map(json.loads, lines)}


def is_brown(path: Path) -> bool:
    rgb = np.asarray(Image.open(path).convert("RGB"), int)
    red, _, blue = rgb[rgb.shape[0] // 2, rgb.shape[1] // 2]
    return bool(red > blue)


def test_hints_beside_a_photograph_are_used_recorded_and_a_reason_to_colour_again(batch, tmp_path, guided_server):
    scans = tmp_path / "scans"
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        write_photo(scans / name, number)
    (scans / "a.png.hints.json").write_text(json.dumps(BROWN))
    (scans / "c.png.hints.json").write_text('[{"x": 9, "y": 0, "color": "#9a6b3c"}]')
    summary = batch(scans)
    assert (summary.done, summary.bad) == (2, 1)
    assert is_brown(tmp_path / "out" / "a.png")
    assert not is_brown(tmp_path / "out" / "b.png")
    found = outcomes(tmp_path)
    assert list(found) == ["c.png"]  # the files of hints are no files left out
    assert found["c.png"]["reason"] == "wrong_hints"
    assert "c.png.hints.json: hint 1: x: expected a number" in found["c.png"]["detail"]

    (scans / "c.png.hints.json").unlink()
    (scans / "b.png.hints.json").write_text(json.dumps(BROWN))
    again = batch(scans)
    assert (again.done, again.skipped, again.bad) == (2, 1, 0)  # b has hints now, and c none
    assert is_brown(tmp_path / "out" / "b.png")
    assert (batch(scans).done, batch(scans, render=(32, 64)).done) == (0, 3)


def test_a_hint_colours_the_page_that_it_names_and_is_recorded(batch, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "album.tif").write_bytes(album(2))
    (scans / "album.tif.hints.json").write_text(json.dumps([BROWN[0] | {"page": 2}]))
    assert batch(scans).done == 1
    written = (tmp_path / "out" / "album.tif").read_bytes()
    middle = [decode_photo(written, page=page).rgb[15, 20].astype(int) for page in range(2)]
    assert [bool(red > blue) for red, _, blue in middle] == [False, True]
    assert batch(scans).skipped == 1
    (scans / "album.tif.hints.json").write_text(json.dumps([BROWN[0] | {"page": 3}]))
    assert batch(scans).bad == 1
    assert outcomes(tmp_path)["album.tif"]["reason"] == "wrong_hints"


def test_one_file_holds_the_hints_of_all(batch, tmp_path):
    for number, name in enumerate(("box/a.png", "other/a.png")):
        write_photo(tmp_path / "scans" / name, number)
    (tmp_path / "hints.json").write_text(json.dumps({"box/a.png": BROWN}))
    assert batch(tmp_path / "scans", hints=tmp_path / "hints.json").done == 2
    assert is_brown(tmp_path / "out" / "box" / "a.png")
    assert not is_brown(tmp_path / "out" / "other" / "a.png")


def test_a_model_without_hints_fails_the_photographs_that_have_some_alone(batch, tmp_path, wire_server):
    for number, name in enumerate(("a.png", "b.png")):
        write_photo(tmp_path / "scans" / name, number)
    (tmp_path / "scans" / "a.png.hints.json").write_text(json.dumps(BROWN))
    summary = batch(tmp_path / "scans", server=wire_server)
    assert (summary.done, summary.bad) == (1, 1)
    assert outcomes(tmp_path)["a.png"]["reason"] == "refused"
    assert "takes no hints" in outcomes(tmp_path)["a.png"]["detail"]


def test_a_side_that_the_model_cannot_take_stops_the_job(batch, tmp_path):
    write_photo(tmp_path / "scans" / "a.png")
    with pytest.raises(TintypeError, match="render: the model takes multiples of 1 up to 512, received 600"):
        batch(tmp_path / "scans", render=(600,))


def test_a_file_of_hints_that_cannot_be_used_is_named_before_anything_is_coloured(batch, tmp_path):
    write_photo(tmp_path / "scans" / "a.png")
    (tmp_path / "hints.json").write_text("{")
    with pytest.raises(TintypeError, match=r"hints.json: it is no JSON"):
        batch(tmp_path / "scans", hints=tmp_path / "hints.json")
    with pytest.raises(TintypeError, match=r"cannot read .*missing\.json"):
        read_job_hints(str(tmp_path / "missing.json"))


def test_a_record_says_which_hints_and_sides_were_used():
    hints = (Hint(0.5, 0.5, "#9a6b3c"),)
    digest = OutputSettings(render=(64, 32)).digest("a.jpg", hints=hints)
    assert digest.startswith("JPEG quality 92 strength 1 render 32,64 1 hint ")
    assert digest != OutputSettings(render=(64, 32)).digest("a.jpg", hints=(Hint(0.5, 0.4, "#9a6b3c"),))
