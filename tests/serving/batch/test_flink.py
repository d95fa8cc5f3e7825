import json
import socket
import subprocess
import sys
import time

import pytest

from benchmarks.flink_cluster import flink_cluster, pool_environment
from benchmarks.free_port import free_port
from tests.serving.batch.conftest import TINTYPE, files, write_photo


def write_scans(folder):
    for number in range(12):
        write_photo(folder / "box" / f"{number}.jpg", number)
    (folder / "bad.jpg").write_text("no photograph")


def check(command, out):
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    assert files(out) == sorted(f"box/{number}.jpg" for number in range(12))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["failed"] == {"not_an_image": 1}
    return summary


@pytest.mark.slow
@pytest.mark.flink
def test_a_flink_cluster_with_two_task_managers_colours_and_resumes(wire_server, tmp_path):
    write_scans(tmp_path / "in")
    command = [*TINTYPE, "batch", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    command += ["--server", wire_server.address]
    with flink_cluster(tmp_path) as options:
        summary = check([*command, *options], tmp_path / "out")
        assert summary["done"] + summary["skipped"] == 12  # skipped: done by a job that Flink began again
        (tmp_path / "out/box/3.jpg").unlink()
        summary = check([*command, *options], tmp_path / "out")
    assert (summary["done"], summary["skipped"]) == (1, 11)


@pytest.mark.slow
def test_the_portable_runner_with_external_workers_colours(wire_server, tmp_path):
    """What every portable runner needs: a graph that travels, and workers that were not started by this program."""
    write_scans(tmp_path / "in")
    port = free_port()
    pool = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"],
        stderr=subprocess.DEVNULL,
        env=pool_environment(),
    )
    try:
        _wait_for(port)
        command = [*TINTYPE, "batch", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
        command += ["--server", wire_server.address, "--runner=PortableRunner", "--job_endpoint=embed"]
        command += ["--environment_type=EXTERNAL", f"--environment_config=localhost:{port}"]
        assert check(command, tmp_path / "out")["done"] == 12
    finally:
        pool.terminate()
        pool.wait()


def _wait_for(port):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nobody listens on {port}")
