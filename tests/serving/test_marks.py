"""Whichever way a photograph comes in, its result says which machine made the colours; or, if asked, nothing."""

import asyncio
import io
import os
import zipfile

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner

from photo.coloring_options import ColoringOptions
from photo.inspection import inspect_photo
from photo.version import __version__
from photo.xmp import read_coloring
from serving.batch.job import BatchJob
from serving.batch.local_runner import local_options
from serving.batch.model_on_server import server_handler
from serving.batch.output_settings import OutputSettings
from serving.batch.running import run_batch
from serving.client.async_colorizer import AsyncColorizer
from serving.client.colorizer import Colorizer
from tests.serving.web.conftest import running_gateway
from tests.serving.wire_server import wire_server  # noqa: F401 - a fixture
from tintype.cli import app

GRAY = np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))
BEGINNING_OF_2001 = 978_307_200


@pytest.fixture
def scan(tmp_path):
    """A photograph that says which program scanned it, with transparency, and older than its folder."""
    exif = Image.Exif()
    exif[0x0131] = "Scan Studio 3"
    path = tmp_path / "scan.png"
    Image.fromarray(np.dstack([GRAY, np.full_like(GRAY, 200)]), "LA").save(path, exif=exif)
    os.utime(path, (BEGINNING_OF_2001, BEGINNING_OF_2001))
    return path


def assert_is_marked(data: bytes) -> None:
    found = inspect_photo(data)
    assert found.is_machine_colored
    assert (found.tintype_version, found.model_fingerprint) == (__version__, "tiny")
    assert found.colored_at
    assert b"Scan Studio 3" in data


def colorize(*arguments):
    return CliRunner().invoke(app, ["colorize", *map(str, arguments)])


def test_the_command_line_marks_keeps_the_date_and_says_what_is_not_kept(scan, wire_server, tmp_path):  # noqa: F811
    out, server = tmp_path / "out", ("--server", wire_server.address)
    assert colorize(scan, "-o", out, "--keep-date", *server).exit_code == 0
    assert_is_marked((out / "scan.png").read_bytes())
    assert (out / "scan.png").stat().st_mtime == BEGINNING_OF_2001
    done = colorize(scan, "-o", out / "scan.jpg", *server)
    assert f"{scan}: not in the result: its transparency, which became white" in done.stderr
    assert_is_marked((out / "scan.jpg").read_bytes())
    assert (out / "scan.jpg").stat().st_mtime > BEGINNING_OF_2001
    assert colorize(scan, "-o", out / "plain.png", "--no-mark-metadata", *server).exit_code == 0
    plain = (out / "plain.png").read_bytes()
    assert not inspect_photo(plain).is_machine_colored
    assert colorize(scan, "-o", out / "seen.png", "--mark", *server).exit_code == 0
    seen, unseen = (np.asarray(Image.open(out / name)) for name in ("seen.png", "scan.png"))
    assert (seen != unseen).any()
    done = colorize(scan, "-o", out / "signed.png", "--certificate", scan, *server)
    assert done.exit_code == 2
    assert "certificate and its key together" in done.stderr
    wrong = ("--certificate", scan, "--certificate-key", scan)
    done = colorize(scan, "-o", out / "signed.png", *wrong, *server)
    assert done.exit_code == 1
    assert "cannot sign with" in str(done.exception)
    assert not (out / "signed.png").exists()


def test_python_marks_bytes_files_and_images(scan, wire_server, tmp_path):  # noqa: F811
    async def asynchronously():
        async with AsyncColorizer(wire_server.address) as colorizer:
            return await colorizer.colorize(scan.read_bytes())

    assert_is_marked(asyncio.run(asynchronously()))
    with Colorizer(wire_server.address) as colorizer:
        assert_is_marked(colorizer.colorize(scan))
        assert_is_marked(colorizer.colorize_file(scan, tmp_path / "out.tif").read_bytes())
        image = colorizer.colorize(Image.open(scan))
        assert read_coloring(image.info["xmp"]).software == f"Tintype {__version__}, model tiny"
        assert image.getexif()[0x0131] == f"Tintype {__version__}, model tiny"
        plain = colorizer.colorize(Image.open(scan), ColoringOptions(mark_metadata=False))
        assert "xmp" not in plain.info


def test_a_batch_marks_keeps_dates_and_notes_what_is_not_kept(scan, wire_server, tmp_path):  # noqa: F811
    handler = server_handler(wire_server.address, batch_size=4)
    out = tmp_path / "out"
    job = BatchJob([str(scan)], str(out), handler, OutputSettings(suffix=".jpg", keep_date=True))
    assert run_batch(job, local_options(1), show_progress=False).done == 1
    assert_is_marked((out / "scan.jpg").read_bytes())
    assert (out / "scan.jpg").stat().st_mtime == BEGINNING_OF_2001
    (row,) = pyarrow.parquet.read_table(out / "manifest.parquet").to_pylist()
    assert "its transparency, which became white" in row["notes"]


def test_the_web_api_and_its_jobs_and_its_zip_mark(scan):
    with running_gateway() as gateway:
        assert_is_marked(gateway.client.post("/api/colorize", content=scan.read_bytes()).content)
        job = gateway.client.post("/api/jobs", files=[("photo", ("scan.png", scan.read_bytes()))]).json()["id"]
        gateway.job_when_done(job)
        picture = f"/api/jobs/{job}/photos/0/image"
        first, again = (gateway.client.get(picture).content for _ in range(2))
        assert_is_marked(first)
        assert first == again
        archive = zipfile.ZipFile(io.BytesIO(gateway.client.get(f"/api/jobs/{job}/photos.zip").content))
        assert_is_marked(archive.read("scan-coloured.png"))
        plain = [
            gateway.client.post("/api/colorize?mark_metadata=false&mark=true", content=scan.read_bytes()),
            gateway.client.get(f"{picture}?mark_metadata=false"),
        ]
        assert not any(inspect_photo(answer.content).is_machine_colored for answer in plain)
