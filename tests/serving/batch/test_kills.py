import random
import re
import signal
import subprocess
import sys
import time

import pytest

from photo.coloring_options import ColoringOptions
from serving.client.colorizer import Colorizer
from tests.serving.batch.conftest import TINTYPE, files, write_photo

PHOTOGRAPHS = 120
KILLS = 3
WORKERS = 2


@pytest.mark.slow
def test_a_job_killed_at_random_moments_ends_with_the_same_files_and_none_half_written(wire_server, tmp_path):
    for number in range(PHOTOGRAPHS):
        write_photo(tmp_path / "in" / f"{number % 7}" / f"{number}.jpg", number, size=(300, 200))
    command = [
        *TINTYPE,
        "batch",
        "--input",
        str(tmp_path / "in"),
        "--server",
        wire_server.address,
        "--workers",
        str(WORKERS),
        "--no-mark-metadata",  # it names the second
    ]

    with Colorizer(wire_server.address) as colorizer:
        expected = {
            str(path.relative_to(tmp_path / "in")): colorizer.colorize(path, ColoringOptions(mark_metadata=False))
            for path in sorted((tmp_path / "in").rglob("*.jpg"))
        }

    killed = tmp_path / "killed"
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(KILLS):
        before = len(files(killed))
        target = before + moments.randrange(PHOTOGRAPHS // 5)
        process = subprocess.Popen([*command, "--output", str(killed)], stderr=subprocess.DEVNULL)
        while process.poll() is None and len(files(killed)) <= target:
            time.sleep(0.02)
        time.sleep(moments.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = len(files(killed))
    done = subprocess.run([*command, "--output", str(killed)], check=True, timeout=240, capture_output=True, text=True)
    assert {name: (killed / name).read_bytes() for name in files(killed)} == expected
    kept = re.search(r"coloured (\d+) photographs.*, (\d+) done before", done.stdout)
    assert kept, done.stdout
    assert int(kept[1]) + int(kept[2]) == PHOTOGRAPHS
    assert int(kept[2]) >= left - KILLS * WORKERS  # a kill costs what was written without its record yet
    assert not list(killed.rglob("*.part"))
    assert not list(killed.glob("beam-temp*"))


def test_workers_end_when_the_driver_is_killed(tmp_path):
    """A worker that goes on alone would write into the folder of the next run."""
    driver = (
        "import subprocess, sys, time\n"
        "from serving.batch.progress import ProgressFolder\n"
        "with ProgressFolder() as progress:\n"
        "    worker = 'import sys, time; from serving.batch.progress import CountFound;'\n"
        "    worker += 'counter = CountFound(sys.argv[1]); counter.setup(); print(1, flush=True); time.sleep(60)'\n"
        "    process = subprocess.Popen([sys.executable, '-c', worker, progress.path], stdout=subprocess.PIPE)\n"
        "    process.stdout.readline()\n"
        "    print(process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _runs(worker):
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
