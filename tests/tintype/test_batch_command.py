import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from photo.errors import TintypeError
from tests.serving.batch.conftest import REPORTS, TINTYPE, files, write_photo
from tests.serving.wire_server import wire_server  # noqa: F401 - a fixture
from tintype.cli import app


def batch(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*TINTYPE, "batch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)


def test_help_imports_no_beam():
    code = (
        "import sys; sys.argv[1:] = ['batch', '--help']\n"
        "from tintype.cli import main\n"
        "try: main()\n"
        "finally: assert not {'apache_beam', 'tensorflow', 'pyarrow', 'numpy'} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert "--max-bad-share" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m", "--server", "localhost:1"], "one of --model"),
        (["--server", "localhost:1", "--qualty", "90"], "no such option: --qualty"),
        (["--server", "localhost:1", "two.jpg"], "Quote globs"),
        (["--server", "nonsense"], "expected the server as HOST:PORT"),
        (["--server", "localhost:1", "--watch", "--streaming"], "without Beam's options"),
    ],
)
def test_wrong_usage_is_told(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photo(tmp_path / "in" / "1.jpg", 1)
    done = CliRunner().invoke(app, ["batch", "--input", "in", "--output", "out", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.slow
def test_a_run_says_what_it_did_and_a_second_one_does_nothing(wire_server, tmp_path):  # noqa: F811
    for number in range(6):
        write_photo(tmp_path / "scans" / "box" / f"{number}.png", number)
    (tmp_path / "scans/bad.jpg").write_text("no photograph")
    arguments = ["--input", "scans/**/*", "--output", "out/", "--server", wire_server.address, "--workers", "1"]
    arguments += ["--keep-tint", "--strength", "0.5"]
    done = batch(*arguments, "--max-bad-share", "0.2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("coloured 6 photographs into out, 1 failed (1 not_an_image; see out/report.jsonl): ")
    assert files(tmp_path / "out") == [f"box/{number}.png" for number in range(6)]
    assert all((tmp_path / "out" / report).exists() for report in REPORTS)
    manifest = pyarrow.parquet.read_table(tmp_path / "out/manifest.parquet")
    assert set(manifest.column("settings").to_pylist()) == {"PNG quality 92 strength 0.5 no tint"}
    again = batch(*arguments, cwd=tmp_path)
    assert again.returncode == 1
    assert "coloured 0 photographs into out, 6 done before" in again.stdout
    assert "error: 1 of 7 photographs failed" in again.stderr
    assert "Traceback" not in done.stderr + again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "empty"], "no photographs in empty"),
        (["--input", "nowhere", "--input", "nowhere/*.jpg"], "no photographs in nowhere, nowhere/*.jpg"),
        (["--input", "in", "--model", "nowhere"], "the model nowhere is not there: no such file or folder"),
        (
            ["--input", "in", "--output", "in/1.jpg/out"],
            "nothing can be written into in/1.jpg/out: in/1.jpg is no folder",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_heavy_is_loaded(tmp_path, arguments, message):
    write_photo(tmp_path / "in" / "1.jpg", 1)
    (tmp_path / "empty").mkdir()
    code = (
        "import sys\n"
        "from tintype.cli import main\n"
        "try: main()\n"
        "finally: assert not {'apache_beam', 'tensorflow', 'pyarrow', 'grpc'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, "batch", "--output", "out", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (1, f"error: {message}\n")


def test_no_server_and_no_model_are_clear(tmp_path):
    write_photo(tmp_path / "in" / "1.jpg", 1)
    common = ["batch", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--workers", "1"]
    done = CliRunner().invoke(app, [*common, "--server", "localhost:9", "--timeout", "0.3"])
    assert isinstance(done.exception, TintypeError)
    assert str(done.exception) == "localhost:9 did not answer within 0.3 s"
    done = CliRunner().invoke(app, [*common, "--model", str(tmp_path)])
    assert str(done.exception) == f"no saved_model.pb in {tmp_path}, nor in a folder of a version below it"


def test_without_a_server_or_a_model_it_takes_the_generator_that_comes_with_it(tmp_path, monkeypatch):
    write_photo(tmp_path / "in" / "1.jpg", 1)
    common = ["batch", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    monkeypatch.setenv("TINTYPE_GENERATOR", str(tmp_path / "nowhere.zip"))
    done = CliRunner().invoke(app, [*common, "--workers", "1"])
    assert isinstance(done.exception, TintypeError)
    assert "no trained generator comes with this installation" in str(done.exception)
    done = CliRunner().invoke(app, [*common, "--runner", "FlinkRunner"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "give --model or --server" in done.output


@pytest.mark.slow
def test_a_watch_goes_on_until_it_is_told_to_stop(wire_server, tmp_path):  # noqa: F811
    write_photo(tmp_path / "in" / "1.jpg", 1)
    command = [*TINTYPE, "batch", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    command += ["--server", wire_server.address, "--workers", "1", "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for number in (1, 2):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
        _wait_for(tmp_path / "out" / f"{number}.jpg", process)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert errors.endswith("stopped\n")


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
