"""Measures the batch job: a plain loop, one core, all cores, a local Flink; and memory as photographs grow in number.

    python -m benchmarks.batch [--photos 200] [--megapixels 1] [--repetitions 2] [--memory 100 1000 10000] [--flink]

The plain loop calls the same client functions and the same SavedModel with the same batches, in one process on one
core. Every rate is counted from the first photograph that is finished to the last, so that neither the import of
TensorFlow nor the start of workers is in it; the whole command's seconds stand beside it. Kinds are taken in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BATCH_SIZE = 8
_SAMPLE_SECONDS = 0.1


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--memory", type=int, nargs="*", default=[], help="numbers of small photographs")
    parser.add_argument("--flink", action="store_true", help="also on a local Flink; needs scripts/flink.sh")
    parser.add_argument("--plain-loop", nargs=3, metavar=("MODEL", "PHOTOS", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain_loop:
        plain_loop(*map(Path, arguments.plain_loop))
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-batch-") as work:
        folder = Path(work)
        write = "from pathlib import Path; from benchmarks.server_process import write_model; write_model(Path({!r}))"
        subprocess.run([sys.executable, "-c", write.format(str(folder / "model/1"))], check=True, capture_output=True)
        if arguments.photos:
            write_photos(folder / "photos", arguments.photos, arguments.megapixels)
            measure_speed(folder, arguments.repetitions, arguments.flink)
        if arguments.memory:
            measure_memory(folder, arguments.memory)


def plain_loop(model: Path, photos: Path, out: Path) -> None:
    """Read, decode, colour, encode and write every photograph; print when the first and the last were finished."""
    import cv2

    from serving.batch.models import SavedModelHandler
    from serving.client.coloring import finish, prepare
    from serving.client.photo import decode_photo, encode_photo
    from serving.client.whole_file import write_whole

    cv2.setNumThreads(1)
    loaded = SavedModelHandler(str(model)).load_model()
    finished = []
    paths = sorted(photos.iterdir())
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        decoded = [decode_photo(path.read_bytes()) for path in batch]
        prepared = [prepare(photo.rgb, loaded.size) for photo in decoded]
        colors = loaded.colors(np.stack([each.square for each in prepared]))
        for path, photo, each, ab in zip(batch, decoded, prepared, colors, strict=True):
            encoded = encode_photo(finish(each, ab), "JPEG", exif=photo.exif, icc=photo.icc, dpi=photo.dpi)
            write_whole(out / path.name, encoded)
            finished.append(time.time())
    print(json.dumps(finished))


def measure_speed(folder: Path, repetitions: int, with_flink: bool) -> None:
    """Time the kinds in turn and print photographs a second."""
    cores = sorted(os.sched_getaffinity(0))
    common = ["--input", str(folder / "photos"), "--model", str(folder / "model"), "--batch-size", str(BATCH_SIZE)]
    loop = ["benchmarks.batch", "--plain-loop", str(folder / "model"), str(folder / "photos")]
    command = ["tintype.cli", "batch", *common, "--sample", "0"]
    kinds: dict[str, Callable[[Path], tuple[float, float]]] = {
        "plain loop, one core": lambda out: timed([*loop, str(out)], cores[:1], out),
        "tintype batch, one core": lambda out: timed(
            [*command, "--workers", "1", "--output", str(out)], cores[:1], out
        ),
        f"tintype batch, {len(cores)} cores": lambda out: timed([*command, "--output", str(out)], cores, out),
    }
    if with_flink:
        kinds["local Flink, two task managers"] = lambda out: _on_flink(command, cores, out)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for number in range(repetitions):
        for index, (name, run) in enumerate(kinds.items()):
            rates[name].append(run(folder / f"out-{number}-{index}"))
    print(f"{'':32}{'photos/s':>10}{'of the loop':>12}{'whole, s':>10}")
    first = statistics.median(rate for rate, _ in next(iter(rates.values())))
    for name, times in rates.items():
        rate, whole = (statistics.median(part) for part in zip(*times, strict=True))
        print(f"{name:32}{rate:10.2f}{rate / first:12.2f}{whole:10.1f}")


def timed(module: list[str], cores: list[int], out: Path) -> tuple[float, float]:
    """Run a module on these cores; return photographs a second between the first and the last, and all its seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *module],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    whole = time.monotonic() - started
    finished = json.loads(done.stdout) if done.stdout.startswith("[") else _finished(out)
    # The first batch of every worker holds the tracing of the network; it is left out alike for all kinds.
    finished = sorted(finished)[2 * BATCH_SIZE :]
    return (len(finished) - 1) / (finished[-1] - finished[0]), whole


def measure_memory(folder: Path, numbers: list[int]) -> None:
    """Print the peak of the driver's and of the largest worker's memory for so many small photographs."""
    print(f"\n{'photographs':>12}{'driver MB':>12}{'a worker MB':>12}{'seconds':>10}")
    for number in numbers:
        photos = folder / f"small-{number}"
        write_photos(photos, number, 0.01)
        command = [sys.executable, "-m", "tintype.cli", "batch", "--input", str(photos), "--sample", "0"]
        command += ["--model", str(folder / "model"), "--output", str(folder / f"out-small-{number}")]
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        peaks: dict[int, float] = {}
        watching = threading.Thread(target=_watch_memory, args=(process, peaks))
        watching.start()
        assert process.wait() == 0
        watching.join()
        workers = [peak for pid, peak in peaks.items() if pid != process.pid]
        seconds = time.monotonic() - started
        print(f"{number:12}{peaks[process.pid]:12.0f}{max(workers, default=0):12.0f}{seconds:10.0f}", flush=True)


def write_photos(folder: Path, number: int, megapixels: float) -> None:
    """Write different JPEGs of a photograph that comes with scikit-image."""
    import cv2
    from skimage import data

    folder.mkdir()
    side = round((1e6 * megapixels) ** 0.5)
    photo = cv2.resize(data.astronaut()[..., ::-1], (side, side), interpolation=cv2.INTER_CUBIC)
    for index in range(number):
        turned = np.roll(photo, index, axis=1)
        (folder / f"{index:06}.jpg").write_bytes(cv2.imencode(".jpg", turned)[1].tobytes())


def _finished(out: Path) -> list[float]:
    import pyarrow.parquet

    column = pyarrow.parquet.read_table(out / "manifest.parquet").column("finished")
    return [moment.timestamp() for moment in column.to_pylist()]


def _on_flink(command: list[str], cores: list[int], out: Path) -> tuple[float, float]:
    from tests.serving.batch.flink_cluster import flink_cluster, missing

    if reason := missing():
        sys.exit(f"no Flink: {reason}")
    with tempfile.TemporaryDirectory() as folder, flink_cluster(Path(folder)) as options:
        return timed([*command, *options, "--output", str(out)], cores, out)


def _watch_memory(process: subprocess.Popen, peaks: dict[int, float]) -> None:
    """Note the peak resident megabytes of a process and all below it, until it ends."""
    while process.poll() is None:
        for pid in _family(process.pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            except (OSError, StopIteration):
                continue
            peaks[pid] = int(peak.split()[1]) / 1024
        time.sleep(_SAMPLE_SECONDS)


def _family(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += map(int, children.read_text().split())
            except OSError:
                continue
    return found


if __name__ == "__main__":
    main()
