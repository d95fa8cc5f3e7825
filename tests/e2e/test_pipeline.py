"""The real pipeline under LocalDagRunner, on a few scenes: what it pushes, what stops it, what it reuses."""

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tintype.demo.scenes import write_collection

pytestmark = pytest.mark.slow

SMALL = (
    "data.size=32",
    # A network that is quickly traced, and learns enough to be blessed.
    "network.generator.down_filters=[16,32,32]",
    "network.generator.up_filters=[32,32]",
    "network.generator.dropout=0",
    "network.discriminator.down_filters=[16]",
    "network.discriminator.flat_filters=[16]",
    "train.steps=60",
    "train.batch_size=8",
    "train.picture_every=60",
    "evaluate.min_psnr_gain_db=0",
    "evaluate.max_ab_mae_ratio=1",
    "evaluate.grid_rows=2",
    "canary.requests=2",
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scans[1971]*?")
    write_collection(folder, 48, side=64)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Iterator[Path]:
    """A folder whose name TensorFlow, TFX and Beam would take for a pattern."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield tmp_path_factory.mktemp("a[1]*?b{c}")


def run(photographs, out, *settings):
    from pipeline.config import load_config
    from pipeline.runners.local import run_local

    return run_local(load_config("demo", [*SMALL, *settings]), data=str(photographs), out=out)


def served_versions(out: Path) -> list[str]:
    base = out / "serving" / "colorizer"
    return sorted(path.name for path in base.iterdir() if path.name.isdigit()) if base.exists() else []


def made_files(out: Path) -> dict[Path, int]:
    """What the components and the serving base path hold, and when it was written."""
    folders = (out / "pipeline", out / "serving")
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def first(photographs, out):
    return run(photographs, out)


def test_photographs_become_a_served_version(first, out):
    assert first.photos["read"] == first.photos["kept"] == 48
    assert first.training["steps"] == 60
    assert first.metrics["psnr_db"] > first.metrics["grayscale"]["psnr_db"]
    assert first.metrics["n_images"] == first.photos["splits"]["eval"]
    assert first.blessed
    assert Path(first.pushed).parent == out / "serving" / "colorizer"
    assert (Path(first.pushed) / "saved_model.pb").exists()
    assert set(first.components.values()) == {"ran"}


def test_the_pushed_version_says_which_run_config_and_photographs_made_it(first, out):
    from components.trainer.decoded_photos import content_digest, example_files
    from serving.model.version_record import known_versions

    (version,) = known_versions(str(out / "serving" / "colorizer"))
    record = version.record
    examples = str(Path(first.photos_report).parent)
    assert record["data"]["digest"]["train"] == content_digest(example_files(examples, "train"))
    assert record["data"]["splits"] == first.photos["splits"]
    assert record["metrics"]["psnr_db"] == first.metrics["psnr_db"]
    assert record["training"]["steps"] == record["config"]["train"]["steps"] == 60
    assert record["run"]["pipeline"] == "tintype-demo"
    assert record["run"]["id"]
    assert record["parent_version"] is None
    assert version.fingerprint == first.metrics["model"]["fingerprint"]
    assert str(out) not in str(record), "a record goes to wherever the model goes"


def test_a_second_run_with_nothing_changed_reuses_everything(first, photographs, out):
    log_level = logging.getLogger().level
    files = made_files(out)
    second = run(photographs, out)
    assert logging.getLogger().level == log_level, "a run must not silence the logs of the program around it"
    assert made_files(out) == files, "something was made again"
    assert set(second.components.values()) == {"cached"}
    assert second.pushed == first.pushed
    assert served_versions(out) == [Path(first.pushed).name]


def test_an_unblessed_model_is_not_pushed(first, photographs, out):
    before = served_versions(out)
    report = run(photographs, out, "evaluate.min_psnr_gain_db=90")
    assert report.components["Trainer"] == "cached"
    assert not report.metrics["blessed"]
    assert "psnr" in report.metrics["reasons"][0].lower()
    assert report.pushed is None
    assert served_versions(out) == before


def test_a_failing_canary_stops_the_push(first, photographs, out):
    before = served_versions(out)
    report = run(photographs, out, "canary.max_latency_ms=0.0001")
    assert report.metrics["blessed"]
    assert not report.canary["blessed"]
    assert "ms" in report.canary["reasons"][0]
    assert report.pushed is None
    assert served_versions(out) == before


def test_a_violation_of_the_schema_stops_the_pipeline_before_training(first, photographs, out, tmp_path, monkeypatch):
    from photo.errors import TintypeError
    from pipeline import graph

    before = served_versions(out)
    strict = tmp_path / "schema.pbtxt"
    schema = Path(graph.SCHEMA_FILE).read_text()
    assert '"JPEG"' in schema
    strict.write_text(schema.replace('"JPEG"', '"GIF"'))
    monkeypatch.setattr(graph, "SCHEMA_FILE", strict)
    with pytest.raises(TintypeError, match="image/format"):
        run(photographs, out, "train.steps=61")
    assert served_versions(out) == before


def test_new_photographs_rerun_what_depends_on_them(first, photographs, out):
    write_collection(photographs / "more" / "below", 8, first_seed=500, side=64)
    report = run(photographs, out, "evaluate.max_psnr_drop_db=90")
    assert report.photos["read"] == 56
    cached = {name for name, state in report.components.items() if state == "cached"}
    assert cached == {"ImportSchemaGen"}
    assert report.metrics["baseline"]["version"] == int(Path(first.pushed).name)
    assert served_versions(out) == [Path(first.pushed).name, Path(report.pushed).name]


def test_the_table_tells_the_whole_run(first):
    from rich.console import Console

    from pipeline.run_report import report_table

    console = Console(width=200, record=True)
    console.print(report_table(first))
    text = console.export_text()
    for expected in ("48 read, 48 kept", "60 steps", "PSNR", "left gray", "blessed", first.pushed):
        assert expected in text


def test_a_run_killed_while_it_trains_goes_on_from_its_checkpoint(photographs, tmp_path):
    settings = (
        "train.steps=240",
        "train.checkpoint_every=20",
        "evaluate.min_psnr_gain_db=-30",
        "evaluate.max_ab_mae_ratio=9",
    )
    collection, out = tmp_path / "photographs", tmp_path / "out"
    shutil.copytree(photographs, collection)
    command = [sys.executable, "-m", "tintype.cli", "run", "--config", "demo", "--data", str(collection)]
    command += ["--out", str(out), *(f"--set={setting}" for setting in (*SMALL, *settings))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(out.glob("checkpoints/*/step_*[0-9]")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    for photo in collection.rglob("*.*"):
        photo.touch()  # as a copy or a new mount does: the photographs are ingested again, and are the same
    report = run(collection, out, *settings)
    assert len(list(out.glob("pipeline/ImageExampleGen/examples/*"))) == 2
    assert report.training["resumed_at"] >= 20
    assert report.training["steps"] == 240
    assert report.pushed
    assert not (out / "checkpoints").exists()
