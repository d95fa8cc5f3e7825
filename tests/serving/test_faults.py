"""Whatever one photograph meets, at whatever stage and through whichever way in, is its own outcome."""

import asyncio
import io
import json
import logging
import zipfile

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from photo.errors import PhotoError
from serving.batch.job import BatchJob
from serving.batch.local_runner import local_options
from serving.batch.model_on_server import server_handler
from serving.batch.running import run_batch
from serving.client.async_colorizer import AsyncColorizer
from serving.client.colorizer import Colorizer
from tests.serving.photo_faults import BAD, GOOD, STAGES, break_stage, write_album
from tests.serving.web.conftest import running_gateway
from tests.serving.wire_server import wire_server  # noqa: F401 - a fixture
from tintype.cli import app

pytestmark = pytest.mark.parametrize("stage", STAGES)


@pytest.fixture
def album(stage, tmp_path, monkeypatch):
    folder = write_album(tmp_path / "album")
    break_stage(monkeypatch, stage, RuntimeError("boom"))
    return folder


def test_colorize_names_it_and_colours_the_others(album, stage, wire_server, tmp_path):  # noqa: F811
    done = CliRunner().invoke(
        app, ["colorize", str(album), "-o", str(tmp_path / "out"), "--server", wire_server.address]
    )
    assert done.exit_code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == GOOD
    assert "coloured 3 of 4 photographs" in done.output
    assert f"left out {album / BAD}: an unexpected error, which is no fault of yours: RuntimeError: boom" in done.output


def test_a_batch_ends_with_its_report_and_its_manifest(album, stage, wire_server, tmp_path):  # noqa: F811
    handler = server_handler(wire_server.address, batch_size=4)
    out = tmp_path / "out"
    summary = run_batch(BatchJob([str(album)], str(out), handler), local_options(1), show_progress=False)
    assert (summary.done, summary.failed) == (3, {"unexpected": 1})
    (line,) = map(json.loads, (out / "report.jsonl").read_text().splitlines())
    assert (line["path"], line["reason"]) == (str(album / BAD), "unexpected")
    assert sorted(row["output"] for row in pyarrow.parquet.read_table(out / "manifest.parquet").to_pylist()) == GOOD
    left = {path.name for path in out.iterdir()} - {*GOOD, ".tintype"}
    assert left == {"report.jsonl", "manifest.parquet", "summary.json", "contact_sheet.html"}


def test_a_job_of_the_web_page_goes_on_and_its_zip_is_whole(album, stage):
    with running_gateway() as gateway:
        photos = [("photo", (name, (album / name).read_bytes())) for name in [BAD, *GOOD]]
        job = gateway.client.post("/api/jobs", files=photos).json()
        gateway.job_when_done(job["id"])
        answer = gateway.client.get(f"/api/jobs/{job['id']}/photos.zip")
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        assert archive.testzip() is None
        assert archive.namelist() == ["a-coloured.png", "b-coloured.png", "c-coloured.png", "left-out.txt"]
        assert archive.read("left-out.txt").decode().startswith("bad.png: ")
        states = {photo["name"]: photo["state"] for photo in gateway.job_when_done(job["id"])["photos"]}
        assert states == {BAD: "failed", **dict.fromkeys(GOOD, "done")}


def test_the_python_clients_give_it_as_a_result(album, stage, wire_server, tmp_path, caplog):  # noqa: F811
    files = [(album / name, tmp_path / "out" / name) for name in [*GOOD[:2], BAD, GOOD[2]]]

    async def results():
        async with AsyncColorizer(wire_server.address) as colorizer:
            return [result async for result in colorizer.colorize_files(files)]

    with Colorizer(wire_server.address) as colorizer:
        blocking = list(colorizer.colorize_files(files))
    for found in (blocking, asyncio.run(results())):
        assert [result.photo.name for result in found if result.error] == [BAD]
        (error,) = [result.error for result in found if result.error]
        assert isinstance(error, PhotoError)
        assert error.reason == "unexpected"
    assert {(record.name, record.exc_info[1].args) for record in caplog.records if record.levelno == logging.ERROR} == {
        ("photo.errors", ("boom",))
    }
