"""Measures the batch job: a plain loop, one core, all cores, a local Flink; and memory as photographs grow in number.

    python -m benchmarks.batch [--photos 200] [--megapixels 1] [--repetitions 2] [--memory 100 1000 10000] [--flink]

The plain loop calls the same client functions and the same SavedModel with the same batches, in one process on one
core. Every rate is counted from the end of the first batches to the last photograph, so that neither the import of
TensorFlow nor the start of workers is in it; the whole command's seconds, and the processor seconds of it and its
workers (on Flink of the command alone), stand beside it. Kinds are taken in turn; rates are medians, and targets are
judged by the median of each round's ratio. With --memory a photograph of 100 megapixels is coloured among small ones,
too. Ends with the targets, reached or missed; the exit code is 1 when one was missed.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

BATCH_SIZE = 8
_SAMPLE_SECONDS = 0.1

# The targets: rates as shares of each other, the memory of a worker with the most photographs beside the fewest, and
# what the driver, which keeps names and outcomes, may take for each.
SHARE_OF_LOOP = 0.85
SPEEDUP_A_CORE = 0.8  # 1.6 on two cores
WORKER_GROWTH = 1.1
DRIVER_KILOBYTES = 10.0

LARGE_MEGAPIXELS = 100
_SMALL_MEGAPIXELS = 0.01
_AMONG_SMALL = 40


class Timing(NamedTuple):
    """How long a command took.

    Attributes:
        rate: photographs a second, from the end of the first batches to the last photograph.
        seconds: of the whole command.
        processor_seconds: of it and the processes it started, user and system.
    """

    rate: float
    seconds: float
    processor_seconds: float


class Target(NamedTuple):
    """What was to be reached, in words, and whether it was."""

    words: str
    reached: bool


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
    least = 2 * BATCH_SIZE * len(os.sched_getaffinity(0))
    if 0 < arguments.photos < least:
        parser.error(f"expected --photos of at least {least}, of which half are coloured before the clock starts, or 0")
    targets: list[Target] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-batch-") as work:
        folder = Path(work)
        write = "from pathlib import Path; from benchmarks.server_process import write_model; write_model(Path({!r}))"
        subprocess.run([sys.executable, "-c", write.format(str(folder / "model/1"))], check=True, capture_output=True)
        if arguments.photos:
            write_photos(folder / "photos", arguments.photos, arguments.megapixels)
            targets += measure_speed(folder, arguments.repetitions, arguments.flink)
        if arguments.memory:
            targets += [*measure_memory(folder, sorted(arguments.memory)), measure_large(folder)]
    print()
    for words, reached in targets:
        print(f"{'reached' if reached else 'MISSED'}: {words}")
    sys.exit(0 if all(reached for _, reached in targets) else 1)


def plain_loop(model: Path, photos: Path, out: Path) -> None:
    """Read, decode, colour, encode and write every photograph; print when the first and the last were finished."""
    import cv2

    from photo.coloring import finish, prepare
    from photo.decoding import decode_photo
    from photo.encoding import encode_photo
    from photo.whole_file import write_whole
    from serving.batch.model_in_worker import SavedModelHandler

    cv2.setNumThreads(1)
    loaded = SavedModelHandler(str(model)).load_model()
    finished = []
    paths = sorted(photos.iterdir())
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        decoded = [decode_photo(path.read_bytes()) for path in batch]
        prepared = [prepare(photo.rgb, loaded.description.size) for photo in decoded]
        colors = loaded.predict_ab(np.stack([each.square for each in prepared]))
        for path, photo, each, ab in zip(batch, decoded, prepared, colors, strict=True):
            encoded = encode_photo(finish(each, ab), "JPEG", metadata=photo.metadata)
            write_whole(out / path.name, encoded)
            finished.append(time.time())
    print(json.dumps(finished))


def measure_speed(folder: Path, repetitions: int, with_flink: bool) -> list[Target]:
    """Time the kinds in turn and print photographs a second."""
    cores = sorted(os.sched_getaffinity(0))
    common = ["--input", str(folder / "photos"), "--model", str(folder / "model"), "--batch-size", str(BATCH_SIZE)]
    loop = ["benchmarks.batch", "--plain-loop", str(folder / "model"), str(folder / "photos")]
    command = ["tintype.cli", "batch", *common, "--sample", "0"]
    plain, one, all_cores = "plain loop, one core", "tintype batch, one core", f"tintype batch, {len(cores)} cores"
    kinds: dict[str, Callable[[Path], Timing]] = {
        plain: lambda out: timed([*loop, str(out)], cores[:1], out),
        one: lambda out: timed([*command, "--workers", "1", "--output", str(out)], cores[:1], out),
        all_cores: lambda out: timed([*command, "--output", str(out)], cores, out),
    }
    if with_flink:
        kinds["local Flink, two task managers"] = lambda out: _on_flink(command, cores, out)
    timings: dict[str, list[Timing]] = {name: [] for name in kinds}
    for number in range(repetitions):
        for index, (name, run) in enumerate(kinds.items()):
            timings[name].append(run(folder / f"out-{number}-{index}"))

    def ratio(kind: str, base: str) -> float:
        return statistics.median(a.rate / b.rate for a, b in zip(timings[kind], timings[base], strict=True))

    print(f"{'':32}{'photos/s':>10}{'of the loop':>12}{'whole, s':>10}{'processor, s':>14}")
    for name, runs in timings.items():
        rate, whole, processor = (statistics.median(part) for part in zip(*runs, strict=True))
        print(f"{name:32}{rate:10.2f}{ratio(name, plain):12.2f}{whole:10.1f}{processor:14.1f}")
    share, speedup, wanted = ratio(one, plain), ratio(all_cores, one), SPEEDUP_A_CORE * len(cores)
    return [
        Target(f"{one}: {share:.2f} of the loop, wanted {SHARE_OF_LOOP:g}", share >= SHARE_OF_LOOP),
        Target(f"{all_cores}: {speedup:.2f} times one, wanted {wanted:g}", speedup >= wanted),
    ]


def timed(module: list[str], cores: list[int], out: Path) -> Timing:
    """Run a module on these cores."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *module],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    whole = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    finished = sorted(json.loads(done.stdout) if done.stdout.startswith("[") else _finished(out))
    # The first batch of every worker holds the tracing of the network; as many are left out of every kind. The clock
    # starts where such a batch ends, so that whole batches are counted.
    finished = finished[BATCH_SIZE * len(os.sched_getaffinity(0)) - 1 :]
    return Timing((len(finished) - 1) / (finished[-1] - finished[0]), whole, processor)


def measure_memory(folder: Path, numbers: list[int]) -> list[Target]:
    """Print the peak of the driver's and of the largest worker's memory for so many small photographs."""
    print(f"\n{'photographs':>24}{'driver MB':>12}{'a worker MB':>12}{'seconds':>10}")
    peaks = []
    for number in numbers:
        photos = folder / f"small-{number}"
        write_photos(photos, number, _SMALL_MEGAPIXELS)
        peaks.append(_peaks(str(number), folder, photos))
    (least_driver, least), (most_driver, most) = peaks[0], peaks[-1]
    more = 1000 * (most_driver - least_driver) / max(numbers[-1] - numbers[0], 1)
    return [
        Target(
            f"a worker with {numbers[-1]:,} photographs: {most:.0f} MB, {most / least:.2f} times that of "
            f"{numbers[0]:,}, wanted at most {WORKER_GROWTH:g}",
            most <= WORKER_GROWTH * least,
        ),
        Target(
            f"the driver: {more:.1f} kB more a photograph, wanted at most {DRIVER_KILOBYTES:g}",
            more <= DRIVER_KILOBYTES,
        ),
    ]


def measure_large(folder: Path) -> Target:
    """Colour one very large photograph among small ones, and print the peak memory."""
    photos = folder / "large"
    write_photos(photos, _AMONG_SMALL, _SMALL_MEGAPIXELS)
    write_photos(folder / "one", 1, LARGE_MEGAPIXELS)
    (folder / "one/000000.jpg").rename(photos / "large.jpg")
    _peaks(f"{_AMONG_SMALL}, one of {LARGE_MEGAPIXELS} MP", folder, photos)
    done = len(_finished(folder / "out-large"))
    words = f"one photograph of {LARGE_MEGAPIXELS} megapixels among {_AMONG_SMALL} small ones: {done} coloured"
    return Target(words, done == _AMONG_SMALL + 1)


def _peaks(name: str, folder: Path, photos: Path) -> tuple[float, float]:
    """Run a job on all cores and print a row; return the peak megabytes of the driver and of its largest worker."""
    command = [sys.executable, "-m", "tintype.cli", "batch", "--input", str(photos), "--sample", "0", "--workers"]
    # Two even on one core: a worker must be a process of its own here.
    command += [str(max(2, len(os.sched_getaffinity(0)))), "--model", str(folder / "model")]
    command += ["--output", str(folder / f"out-{photos.name}")]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks: dict[int, float] = {}
    watching = threading.Thread(target=_watch_memory, args=(process, peaks))
    watching.start()
    if process.wait() != 0:
        sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}")
    watching.join()
    driver, worker = peaks.pop(process.pid), max(peaks.values())
    print(f"{name:>24}{driver:12.0f}{worker:12.0f}{time.monotonic() - started:10.0f}", flush=True)
    return driver, worker


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


def _on_flink(command: list[str], cores: list[int], out: Path) -> Timing:
    from benchmarks.flink_cluster import flink_cluster, missing

    if reason := missing():
        sys.exit(f"no Flink: {reason}")
    with tempfile.TemporaryDirectory() as folder, flink_cluster(Path(folder)) as options:
        return timed([*command, *options, "--output", str(out)], cores, out)


def _watch_memory(process: subprocess.Popen[bytes], peaks: dict[int, float]) -> None:
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
