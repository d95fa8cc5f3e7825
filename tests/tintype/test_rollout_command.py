"""`tintype rollout` as people and programs run it."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from serving.server import EmbeddedServer, ServerOptions
from tests.tiny_models import write_tiny_model
from tintype.commands.rollout import app


@pytest.fixture
def config_file(tmp_path):
    write_tiny_model(tmp_path / "base" / "1")
    shutil.copytree(tmp_path / "base" / "1", tmp_path / "base" / "2")
    path = tmp_path / "models.config"
    entry = f'name: "colorizer" base_path: "{tmp_path / "base"}" model_platform: "tensorflow"'
    path.write_text(f"model_config_list {{ config {{ {entry} model_version_policy {{ all {{}} }} }} }}")
    return path


@pytest.fixture
def server(config_file):
    with EmbeddedServer(ServerOptions(model_config_file=config_file, file_system_poll_wait_seconds=0.05)) as server:
        server.wait_until_available(30, version=1)
        server.wait_until_available(30, version=2)
        yield f"localhost:{server.port}"


def test_status_promote_canary_and_rollback_say_what_is_so(server, config_file):
    def run(*arguments):
        flags = ["--server", server, "--model_config_file", str(config_file), "--load-timeout", "1"]
        return CliRunner().invoke(app, [*arguments, *flags[: 4 if arguments[0] == "status" else None]])

    promoted = run("promote", "1")
    assert promoted.exit_code == 0, promoted.exception
    assert "version 1 of colorizer is stable" in promoted.stdout
    assert "requests without a label go to version 2" in promoted.stderr
    assert "version 2 of colorizer is canary" in run("canary", "2").stdout
    told = json.loads(run("status", "--json").stdout)
    assert told["version_policy"] == "all"
    (answer,) = told["servers"]
    assert answer["labels"] == {"stable": 1, "canary": 2}
    assert answer["answers_without_label"] == 2
    assert answer["versions"][0] == {"version": 2, "state": "AVAILABLE", "error": ""}
    assert "version 2 of colorizer is stable" in run("promote").stdout
    assert "back to version 1 of colorizer" in run("rollback").stdout
    missing = run("promote", "7")
    assert "no version 7 of 'colorizer'" in str(missing.exception)
    table = run("status").stdout
    assert re.search(r"2 │ AVAILABLE │ no label ", table), table
    assert re.search(r"1 │ AVAILABLE │ canary, stable ", table), table
    assert "rollback: 2 -> 1" in table
    assert run("promote", "seven").exit_code == 2


@pytest.mark.skipif(sys.platform != "linux", reason="takes the limit of file sizes that Linux keeps")
def test_a_file_that_cannot_be_written_is_said_and_the_server_is_set_back(server, config_file):
    before = config_file.read_bytes()
    command = [sys.executable, "-m", "tintype.cli", "rollout", "promote", "1", "--server", server]
    command += ["--model_config_file", str(config_file)]
    limited = subprocess.run(
        ["sh", "-c", f"ulimit -f 0; exec {shlex.join(command)}"], capture_output=True, text=True, timeout=60
    )
    assert limited.returncode == 1
    assert limited.stderr == f"error: cannot write {config_file}: File too large\n"
    assert config_file.read_bytes() == before
    told = json.loads(CliRunner().invoke(app, ["status", "--json", "--server", server]).stdout)
    assert told["servers"][0]["labels"] == {}
