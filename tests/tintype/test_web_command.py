import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from photo.encoding import encode_photo
from photo.errors import TintypeError
from tintype.cli import app


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--server", "localhost:1", "--model", "."], "expected --server HOST:PORT or --model DIR, received both"),
        (["--server", "nonsense"], "expected the server as HOST:PORT"),
        (["--server", "localhost:1", "--access-token", "short"], "at least 16 characters, received 5"),
        (["--server", "localhost:1", "--allowed-host", "https://a.example"], "as photos.example.org, without scheme"),
        (["--model", "/nowhere"], "no such folder: /nowhere"),
        (["--model", ".", "--canary-share", "0.1"], "needs --server, whose versions have labels"),
        (["--server", "localhost:1", "--canary-share", "0.1", "--label", "a"], "canary_share=0.1 chooses between"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_bound(arguments, words, monkeypatch):
    monkeypatch.delenv("TINTYPE_SERVER", raising=False)
    result = CliRunner().invoke(app, ["web", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert words in re.sub(r"\s+", " ", result.output.replace("│", " "))


def test_without_a_server_or_a_model_it_needs_the_generator_that_comes_with_it(tmp_path, monkeypatch):
    monkeypatch.delenv("TINTYPE_SERVER", raising=False)
    monkeypatch.setenv("TINTYPE_GENERATOR", str(tmp_path / "nowhere.zip"))
    result = CliRunner().invoke(app, ["web", "--port", "0"])
    assert isinstance(result.exception, TintypeError)
    assert "no trained generator comes with this installation" in str(result.exception)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_the_model_server_with_it(tmp_path, number):
    (tmp_path / "model" / "1").mkdir(parents=True)  # no model yet: it starts, and waits for one
    process = subprocess.Popen(
        [sys.executable, "-m", "tintype.cli", "web", "--model", str(tmp_path / "model"), "--port", "0"],
        stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert process.stdout is not None
    while "the page is at" not in process.stdout.readline():
        assert process.poll() is None
    [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    assert process.wait(60) == 0
    assert not Path(f"/proc/{child}").exists()
    process.stdout.close()


def test_it_opens_the_page_in_the_browser_where_asked(tmp_path):
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}.new" && mv "{opened}.new" "{opened}"\n')
    browser.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "tintype.cli", "web", "--server", "localhost:1", "--port", "0", "--browser"],
        stdout=subprocess.PIPE, text=True, bufsize=1, env=os.environ | {"BROWSER": str(browser)},
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
        deadline = time.monotonic() + 60
        while not opened.exists():
            assert process.poll() is None
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail("the browser was not started")
            time.sleep(0.02)
        assert opened.read_text().strip() in line
        assert httpx.get(opened.read_text().strip()).status_code == 200
        process.terminate()
        assert process.wait(30) == 0


def listening_ports(pid: int) -> set[int]:
    """The TCP ports on which a process listens."""
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    is_listening = "0A"
    return {
        int(line[1].rpartition(":")[2], 16)
        for line in lines
        if line[3] == is_listening and f"socket:[{line[9]}]" in inodes
    }


@pytest.mark.slow
def test_a_model_alone_is_enough_and_both_servers_end_together(tmp_path):
    """`tintype web --model DIR`: the embedded server beside the page, found by nobody else, ended with it."""
    import numpy as np

    from tests.tiny_models import write_tiny_model

    model = write_tiny_model(tmp_path / "model")
    process = subprocess.Popen(
        [sys.executable, "-m", "tintype.cli", "web", "--model", str(model), "--port", "0"],
        stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://[\d.:]+", line)))
        photo = encode_photo(np.full((60, 80, 3), 150, np.uint8), "PNG")
        with httpx.Client(base_url=address, timeout=60) as client:
            assert client.get("/healthz").status_code == 200  # while the model still loads
            deadline = time.monotonic() + 200
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.5)
            answer = client.post("/api/colorize", content=photo)
            assert (answer.status_code, answer.content != photo) == (200, True)
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert listening_ports(int(process.pid)) == {int(address.rpartition(":")[2])}
        assert listening_ports(int(child)) == set()
    finally:
        process.terminate()
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert "stopped" in rest  # the embedded server's last word


@pytest.mark.slow
def test_a_model_of_onnx_colours_in_the_pages_own_process_without_tensorflow(tmp_path):
    import numpy as np

    from serving.model.onnx_export import export_onnx
    from tests.tiny_models import write_tiny_model

    export_onnx(str(write_tiny_model(tmp_path / "saved")), tmp_path / "onnx")
    code = "import sys; sys.modules['tensorflow'] = None; from tintype.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "web", "--model", str(tmp_path / "onnx"), "--port", "0"],
        stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://[\d.:]+", line)))
        photo = encode_photo(np.full((60, 80, 3), 150, np.uint8), "PNG")
        with httpx.Client(base_url=address, timeout=60) as client:
            assert client.get("/readyz").status_code == 200
            answers = [client.post("/api/colorize", content=photo) for _ in range(2)]
            assert [(answer.status_code, answer.content != photo) for answer in answers] == [(200, True)] * 2
        assert not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
