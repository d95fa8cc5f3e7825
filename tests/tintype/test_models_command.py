import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from components.pusher.publish import publish
from photo.coloring_options import ColoringOptions
from photo.encoding import encode_coloring, encode_photo
from photo.formats import PhotoFormat
from photo.metadata import Metadata
from photo.provenance import Provenance
from serving.model.version_record import KEPT_RECORDS, RECORD_FILE
from tintype.cli import app

COLOR = np.repeat(np.array([[(200, 90, 80), (70, 120, 200)]], np.uint8), 30, axis=1).repeat(40, axis=0)


def record(fingerprint: str, *, digest: str, steps: int = 100, psnr_db: float = 22.5) -> dict:
    return {
        "fingerprint": fingerprint,
        "run": {"pipeline": "tintype-demo", "id": "night-1"},
        "config": {"train": {"steps": steps}},
        "data": {"digest": {"train": digest}, "kept": 48},
        "metrics": {"psnr_db": psnr_db, "colorfulness": 12.0},
    }


@pytest.fixture
def base(tmp_path) -> Path:
    """Three versions were pushed, two are left; a fourth comes from elsewhere, without a record."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "saved_model.pb").write_text("model")
    base = tmp_path / "base"
    records = (record("aaa1", digest="d1"), record("bbb2", digest="d2"), record("ccc3", digest="d3", steps=200))
    for number, said in enumerate(records, start=1):
        publish(str(model), str(base), keep_versions=2, version=number, record=said)
    (base / "4").mkdir()
    (base / "4" / "saved_model.pb").write_text("model")
    return base


@pytest.fixture
def colored(tmp_path) -> Path:
    file = tmp_path / "grandmother.jpg"
    provenance = Provenance("aaa1", datetime(2031, 5, 6, tzinfo=UTC))
    file.write_bytes(encode_coloring(COLOR, PhotoFormat.JPEG, Metadata(), ColoringOptions(), provenance).data)
    return file


def models(*arguments):
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_a_coloured_photograph_leads_to_the_photographs_its_model_learned_from_though_the_version_is_gone(
    base, colored
):
    assert not (base / "1").exists()
    done = models("show", base, colored)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "version 1 (removed since)"
    for line in ("data.digest.train: d1", "run.id: night-1", "config.train.steps: 100", "metrics.psnr_db: 22.5"):
        assert f"  {line}" in lines
    (told,) = json.loads(models("show", base, colored, "--json").stdout)
    assert (told["version"], told["record"]["data"]["digest"], told["present"]) == (1, {"train": "d1"}, False)


def test_every_version_names_the_one_before_and_those_without_a_record_say_so(base):
    told = json.loads(models("list", base, "--json").stdout)
    assert [(version["version"], version["record"].get("parent_version")) for version in told] == [
        (1, None),
        (2, 1),
        (3, 2),
        (4, None),
    ]
    rows = models("list", base).stdout
    assert all(part in rows for part in ("aaa1", "removed", "22.50", "no record"))


def test_a_diff_names_what_differs_and_nothing_else(base):
    assert models("diff", base, 2, "ccc3").stdout.splitlines() == [
        "parent_version: 1 -> 2 (+1)",
        "fingerprint: bbb2 -> ccc3",
        "config.train.steps: 100 -> 200 (+100)",
        "data.digest.train: d2 -> d3",
    ]


def test_what_is_not_known_is_one_clear_sentence(base, tmp_path, run_here):
    gray = tmp_path / "gray.png"
    gray.write_bytes(encode_photo(np.full((8, 9, 3), 99, np.uint8), "PNG"))
    for arguments, said in (
        (("show", base, gray), f"error: {gray} does not say which model found its colours"),
        (("show", base, "ffff"), "error: no version or model 'ffff' is known here (versions: 1, 2, 3, 4)"),
        (("list", tmp_path / "no"), f"error: cannot list {tmp_path / 'no'}: No such file or directory"),
    ):
        done = run_here("models", *arguments)
        assert (done.returncode, done.stderr.strip()) == (1, said)


@pytest.mark.parametrize("broken", ["{", "[1]", "[" * 100_000, '{"data": 1, "parent_version": "\\u001b[2J"}', "\0"])
def test_a_broken_record_hides_no_other_version_and_writes_no_escapes_to_the_terminal(base, broken):
    (base / "2" / RECORD_FILE).write_text(broken)
    done = models("list", base)
    assert done.exit_code == 0
    assert "ccc3" in done.stdout
    assert "\x1b" not in done.stdout
    assert models("show", base, 2).exit_code == 0
    assert "\x1b" not in models("show", base, 2).stdout


def test_a_model_pushed_on_to_another_base_path_keeps_where_it_comes_from(base, tmp_path):
    publish(str(base / "3"), str(tmp_path / "far"), keep_versions=1, record={})
    (told,) = json.loads(models("list", tmp_path / "far", "--json").stdout)
    assert told["record"]["data"]["digest"] == {"train": "d3"}
    assert told["record"]["version"] == told["version"] != 3
    assert told["record"]["parent_version"] is None
    assert (tmp_path / "far" / KEPT_RECORDS / f"{told['version']}.json").is_file()
