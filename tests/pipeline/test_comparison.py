import base64
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen.ingestion import ingest
from photo.errors import TintypeError
from pipeline.comparison import figures
from pipeline.comparison.comparison import Comparison, run_comparison
from pipeline.comparison.entries import (
    ComparisonError,
    load_question,
    parse_budget,
    parse_entry,
    question_names,
    resolve_entries,
)
from pipeline.comparison.jobs import MethodJob, TrainingJob
from pipeline.comparison.methods.measuring import measure_method
from pipeline.comparison.pictures import draw_curves
from pipeline.comparison.report import write_report
from pipeline.comparison.result_files import RESULT_NAME, TRAINED_NAME, read_record, write_record
from pipeline.comparison.task_process import run_in_process
from pipeline.comparison.train_and_measure import train_and_measure
from pipeline.config import ConfigError, load_config
from tests.pipeline import comparison_tasks
from tests.tintype.test_cli import TINTYPE
from tintype.demo.scenes import write_collection

ROOT = Path(__file__).parents[2]
STEPS = parse_budget("3steps")
TINY = [
    "data.size=32",
    "data.splits.train=2",
    "train.batch_size=4",
    "network.generator.down_filters=[4,8]",
    "network.generator.up_filters=[4]",
    "network.discriminator.down_filters=[4]",
    "network.discriminator.flat_filters=[4]",
    "train.preview_photos=4",
]


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("demo", ("demo", "demo", ())),
        ("demo:train.batch_size=8", ("demo (batch_size=8)", "demo", ("train.batch_size=8",))),
        ("L1 (new)=demo", ("L1 (new)", "demo", ())),
        (
            "wide=demo:network.generator.down_filters=[8,16],seed=3",
            ("wide", "demo", ("network.generator.down_filters=[8,16]", "seed=3")),
        ),
    ],
)
def test_an_entry_is_a_config_with_a_label_and_settings_of_its_own(text, entry):
    assert parse_entry(text) == entry


def test_a_yaml_file_is_an_entry_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a=b:c.yaml").touch()
    assert parse_entry("a=b:c.yaml") == ("a=b:c", "a=b:c.yaml", ())


@pytest.mark.parametrize("text", ["", "label=", "demo:", "demo:train.steps", "a/b=demo", ":seed=3"])
def test_what_is_no_entry_is_shown_with_what_one_looks_like(text):
    with pytest.raises(ComparisonError, match=r"LABEL=\]CONFIG.*got '"):
        parse_entry(text)


def test_a_budget_is_time_or_steps():
    assert parse_budget("10m").minutes == parse_budget("600s").minutes == 10
    assert parse_budget("1.5h").minutes == 90
    assert parse_budget("500steps").steps == 500
    assert [str(parse_budget(text)) for text in ("20s", "90s", "1.5h", "7steps")] == [
        "20 seconds",
        "1.5 minutes",
        "90 minutes",
        "7 steps",
    ]
    for text in ("10", "0m", "-3m", "1.5steps", "m", "10 minutes", "0steps"):
        with pytest.raises(ComparisonError, match=r"wants a time or a number of steps.*got"):
            parse_budget(text)


def test_own_settings_win_over_shared_ones_and_the_budget_over_both():
    first, second = resolve_entries(
        ["demo", "own=demo:train.batch_size=2,train.steps=9"], None, ["train.batch_size=4", "train.steps=8"], STEPS
    )
    assert (first.config.train.batch_size, second.config.train.batch_size) == (4, 2)
    assert first.config.train.steps == second.config.train.steps == 3
    timed = resolve_entries(["demo"], None, [], parse_budget("2m"))[0].config.train
    assert (timed.max_minutes, timed.steps > 1_000_000) == (2, True)


def test_measuring_more_often_does_not_shorten_the_patience_of_a_plateau():
    plain = load_config("fcn_rgb_120").train
    (entry,) = resolve_entries(["fcn_rgb_120"], None, [], parse_budget("2m"))
    train = entry.config.train
    assert train.picture_every < plain.picture_every
    assert train.plateau.patience * train.picture_every == plain.plateau.patience * plain.picture_every
    (own,) = resolve_entries(["fcn_rgb_120:train.plateau.patience=2"], None, [], parse_budget("2m"))
    assert own.config.train.plateau.patience == 2


def test_what_cannot_be_compared_is_refused_before_anything_is_trained():
    with pytest.raises(ComparisonError, match=r"nothing to compare.*spectral_norm"):
        resolve_entries([], None, [], STEPS)
    with pytest.raises(ComparisonError, match="2 entries are called 'demo'"):
        resolve_entries(["demo", "demo"], None, [], STEPS)
    with pytest.raises(ComparisonError, match="split the photographs alike"):
        resolve_entries(["demo", "demo:data.splits.eval=3"], None, [], STEPS)
    with pytest.raises(ConfigError, match=r"odd: config demo .*\n.*data.size must be a multiple"):
        resolve_entries(["demo", "odd=demo:data.size=33"], None, [], STEPS)


@pytest.mark.parametrize("name", question_names())
def test_every_question_that_comes_with_tintype_can_be_asked(name):
    question = load_question(name)
    entries = resolve_entries(["demo"], question, ["train.batch_size=2"], STEPS)
    assert len(entries) == len(question.entries) + 1 >= 3
    configs = {entry.config.model_dump_json() for entry in entries}
    assert len(configs) == len(entries), "two entries are the same"


def test_a_question_of_ones_own_is_a_yaml_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: T\nquestion: Q?\nsettings: {seed: 4}\nentries:\n- {label: a, config: demo}\n")
    assert resolve_entries([], load_question(str(path)), [], STEPS)[0].config.seed == 4
    path.write_text("title: T\nentry: []\n")
    with pytest.raises(ComparisonError, match=r"mine.yaml cannot be used:\n.*question: Field required"):
        load_question(str(path))
    with pytest.raises(ComparisonError, match=r"no question elsewhere; .*vgg16"):
        load_question("elsewhere")


def measured(label: str, *, psnr: float = 20.0, colorfulness: float = 30.0, **changes) -> dict:
    gray = {
        "psnr_db": 18.0,
        "ssim": 0.9,
        "delta_e_2000": 12.0,
        "ab_mae": 10.0,
        "accuracy_eps2": 0.1,
        "accuracy_eps5": 0.2,
        "colorfulness": 0.0,
        "colorfulness_truth": 40.0,
        "n_images": 2,
    }
    row = {"step": 3, "seconds": 60.0, "psnr_gain_db": 1.0, "generator_loss": 2.0, "discriminator_loss": 0.0}
    return {
        "label": label,
        "recipe": "demo",
        "settings": ["seed=1"],
        "size": 32,
        "batch_size": 4,
        "status": "done",
        "error": None,
        "folder": f"entries/{label}",
        "metrics": {**gray, "psnr_db": psnr, "colorfulness": colorfulness, "n_not_finite": 0, "grayscale": gray},
        "training": {
            "images_per_second": 10.0,
            "steps": 3,
            "seconds": 60.0,
            "generator_parameters": 54429315,
            "discriminator_parameters": 0,
            "stopped": "finished",
            "strategy": "OneDeviceStrategy",
            "history": [row, {**row, "step": 6, "adversarial_loss": None}],
        },
        "pictures": [],
        "photo_milliseconds": 7.25,
        "model_bytes": 3_500_000,
        **changes,
    }


def failed(label: str) -> dict:
    return {key: measured(label)[key] for key in ("label", "recipe", "settings", "size", "batch_size")} | {
        "status": "failed",
        "error": "out of memory",
    }


def column(table: figures.Table, heading: str) -> list[tuple[str, bool]]:
    index = table.headings.index(heading)
    return [(cells[index].text, cells[index].best) for _, cells in table.rows]


def test_the_best_of_a_column_is_marked_and_gray_competes():
    table = figures.quality_table(
        [measured("a", psnr=20.004, colorfulness=72.0), measured("b", psnr=20.001, colorfulness=44.0), failed("c")]
    )
    assert [label for label, _ in table.rows] == ["left gray", "a", "b", "c"]
    assert column(table, "PSNR, dB") == [("18.00", False), ("20.00", True), ("20.00", True), ("–", False)]
    assert [best for _, best in column(table, "colorfulness, of the truth's")] == [False, False, True, False]
    worse = figures.quality_table([measured("a", psnr=17.0)])
    assert column(worse, "over gray, dB") == [("+0.00", True), ("-1.00", False)]


def test_variants_are_shown_only_where_they_were_measured():
    one = measured("a")
    heading = "ab distance of variants"
    assert heading not in figures.quality_table([one]).headings
    one["metrics"]["variants"] = {"ab_distance": 3.456}
    assert column(figures.quality_table([one, measured("b")]), heading) == [
        ("–", False),
        ("3.46", False),
        ("–", False),
    ]


def test_several_folders_get_tables_of_their_own():
    one, two = measured("a"), measured("b")
    assert figures.folder_tables([one, two]) == []
    for entry, gain, left_gray in ((one, 2.0, 0.1), (two, 1.0, None)):
        group = {"psnr_db": 20.0 + gain, "grayscale": {"psnr_db": 20.0}}
        group |= {} if left_gray is None else {"left_gray": left_gray}
        entry["metrics"]["labels"] = {"people": group, "sea": group} if entry is one else {"people": group}
    gain, left_gray = figures.folder_tables([one, two, failed("c")])
    assert [label for label, _ in gain.rows] == ["a", "b", "c"]
    assert column(gain, "people") == [("+2.00", True), ("+1.00", False), ("–", False)]
    assert column(gain, "sea") == [("+2.00", False), ("–", False), ("–", False)]
    assert [text for text, _ in column(left_gray, "people")] == ["10.0%", "–", "–"]


def test_an_entry_without_an_ordinary_end_is_remarked_upon():
    diverged = measured("d")
    diverged["training"]["stopped"] = "diverged"
    words = dict(figures.remarks([measured("a"), diverged, failed("c")]))
    assert words == {"d": "diverged by step 3: measured with the last good weights", "c": "failed: out of memory"}


@pytest.mark.parametrize("gain", [None, math.nan, -math.inf])
def test_the_curves_of_a_run_that_lost_its_figures_are_drawn(gain):
    diverged = measured("d")
    for row in diverged["training"]["history"]:
        row["psnr_gain_db"] = gain
    assert draw_curves([diverged]).startswith(b"\x89PNG")
    assert draw_curves([measured("a"), diverged]).startswith(b"\x89PNG")


def report_of(*entries: dict) -> dict:
    return {
        "title": "L*a*b* <against> RGB",
        "question": "Which?",
        "budget": "3 steps",
        "data": "photos.zip",
        "photographs": {"splits": {"train": 8, "eval": 2, "test": 1}},
        "test_data": None,
        "size": 32,
        "machine": "one",
        "entries": list(entries),
        "methods": [],
    }


def test_the_page_needs_no_other_file_and_hides_no_entry(tmp_path):
    for number, label in enumerate(("a|b", "second")):
        for name in ("gray", "colored", "true"):
            picture = np.full((32, 32, 3), 40 * number, np.uint8)
            path = tmp_path / "entries" / label / f"pictures/0_{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    pictures = [{name: f"pictures/0_{name}.png" for name in ("gray", "colored", "true")}]
    report = report_of(measured("a|b", pictures=pictures), measured("second", pictures=pictures), failed("<third>"))
    write_report(report, tmp_path)

    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"(src|href|srcset)=\"(?!data:image/png;base64,)|url\(|<script", page)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(pictures) == 4 + 2  # gray, two entries, true; the curves, light and dark
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    assert "L*a*b* &lt;against&gt; RGB" in page
    assert '&lt;third&gt;</strong>: <span class="wrong">failed: out of memory' in page
    assert "prefers-color-scheme: dark" in page

    grid = Image.open(tmp_path / "grid.png")
    assert grid.width > 4 * 128 > grid.height  # enlarged, four columns, one row
    assert (tmp_path / "curves.png").stat().st_size > 5000
    assert json.loads((tmp_path / "report.json").read_text()) == report
    lines = (tmp_path / "report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| a\\|b |")]
    assert len(rows) == 2
    assert "**20.00**" in rows[0]
    assert "- <third>: failed: out of memory" in lines


def test_a_report_can_be_written_while_nothing_is_done(tmp_path):
    write_report(report_of(failed("a") | {"status": "waiting", "error": None}), tmp_path)
    assert "not trained yet" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "grid.png").exists()


def test_a_record_holds_what_json_cannot(tmp_path):
    write_record(tmp_path / "r.json", {"a": [float("nan"), {"b": float("inf")}], "c": 1.5})
    assert read_record(tmp_path / "r.json") == {"a": [None, {"b": None}], "c": 1.5}
    (tmp_path / "r.json").write_text("[half")
    assert read_record(tmp_path / "r.json") == {}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("be_killed", "ended by SIGKILL; the machine may have run out of memory"),
        ("raise", "RuntimeError: out of words$"),
        ("exit", "exit code 7"),
    ],
)
def test_a_process_that_dies_says_why(tmp_path, task, message):
    error = run_in_process(task, {}, tmp_path, module=comparison_tasks.NAME)
    assert re.search(message, error)


def test_a_process_ends_with_its_parent_however_that_ends(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", comparison_tasks.NAME, "parent", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as parent:
        pid_file = tmp_path / "child" / "pid"
        wait_for(lambda: pid_file.is_file() and pid_file.read_text())
        parent.kill()
    wait_for(lambda: not Path(f"/proc/{pid_file.read_text()}").exists(), seconds=10)


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    write_collection(folder, 24, side=40)
    return folder


@pytest.mark.slow
def test_an_entry_is_trained_once_and_measured_at_the_common_size(photographs, tmp_path):
    (entry,) = resolve_entries(["demo"], None, TINY, STEPS)
    ingested = ingest(str(photographs), tmp_path / "examples", entry.config.data)
    job = TrainingJob(
        trainer_config=entry.config.trainer_config().model_dump(mode="json"),
        examples=str(tmp_path / "examples"),
        measured_examples=str(tmp_path / "examples"),
        test_data=None,
        size=26,  # no multiple of what the network halves
        rows=2,
        training_fingerprint="trained",
        fingerprint="held out",
    )
    folder = tmp_path / "entry"
    train_and_measure(job, folder)
    result = read_record(folder / RESULT_NAME)
    assert (result["training"]["steps"], result["metrics"]["size"]) == (3, 26)
    assert result["metrics"]["n_images"] == ingested.splits["eval"]
    assert [Image.open(folder / file).size for row in result["pictures"] for file in row.values()] == [(26, 26)] * 6

    shared = {name: getattr(job, name) for name in ("examples", "measured_examples", "test_data", "size", "rows")}
    measure_method(MethodJob(method="welsh", fingerprint="welsh", **shared), tmp_path / "welsh")
    welsh = read_record(tmp_path / "welsh" / RESULT_NAME)
    assert (welsh["metrics"]["n_images"], welsh["metrics"]["left_gray"]) == (ingested.splits["eval"], 0)
    assert len(welsh["pictures"]) == 2

    trained_at = (folder / TRAINED_NAME).stat().st_mtime_ns
    (photographs / "broken.jpg").write_bytes(b"not a photograph")
    train_and_measure(replace(job, test_data=str(photographs), fingerprint="all", size=32), folder)
    again = read_record(folder / RESULT_NAME)
    (photographs / "broken.jpg").unlink()
    assert (folder / TRAINED_NAME).stat().st_mtime_ns == trained_at
    assert (again["fingerprint"], again["metrics"]["n_images"], again["metrics"]["size"]) == ("all", 24, 32)


@pytest.mark.slow
def test_a_stopped_comparison_goes_on_and_a_failing_entry_stops_no_other(photographs, tmp_path):
    out = tmp_path / "out"
    command = [
        TINTYPE,
        "compare",
        "good=demo",
        "bad=demo:train.loss.reconstruction_weight=1.0e+40",
        "later=demo:seed=1",
    ]
    command += ["--data", photographs, "--budget", "3steps", "--size", "32", "--rows", "2", "--out", out]
    command += ["--method", "levin"]
    command += [part for setting in TINY for part in ("--set", setting)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(out.glob(f"entries/good-*/{RESULT_NAME}")), seconds=600)
        process.send_signal(signal.SIGINT)
        assert "stopped; the same command goes on" in process.stderr.read()
    assert process.returncode == 130

    again = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert again.returncode == 1
    assert "good: done before" in again.stderr
    assert "Levin 2004, 10 hints: done before" in again.stderr
    assert "Traceback" not in again.stderr
    assert "bad: failed: training diverged in its first 1 step" in again.stdout
    report = json.loads((out / "report.json").read_text())
    assert [entry["status"] for entry in report["entries"]] == ["done", "failed", "done"]
    assert [row["status"] for row in report["methods"]] == ["done"]
    assert "10 hints" in (out / "report.md").read_text()
    assert all((out / entry["folder"] / "model/saved_model.pb").is_file() for entry in report["entries"][::2])
    names = {"report.html", "report.json", "report.md", "grid.png", "curves.png", "entries", "examples", "methods"}
    assert {path.name for path in out.iterdir()} - {".lock"} == names


def test_photographs_that_cannot_be_used_end_the_comparison_at_once(tmp_path):
    entries = tuple(resolve_entries(["demo"], None, TINY, STEPS))
    comparison = Comparison("T", "", entries, STEPS, data=str(tmp_path / "absent"))
    with pytest.raises(TintypeError, match=r"no such folder or archive of photographs: .*absent"):
        run_comparison(comparison, tmp_path / "out")
