"""Measures what storage and earlier runs cost a batch job: resuming over many records, and storage that answers late.

    python -m benchmarks.batch_storage [--records 10000 100000] [--photos 96] [--late 0.05]

Resuming: photographs that an earlier run coloured, so many of them, are passed over by `tintype batch` on two worker
processes; from the smallest to the largest number each record costs so many processor milliseconds, which times ten
million over eight workers is the goal. Late storage: a file system of this process adds so many seconds to every
opening of a file to read or to write; the same job runs on it and on the disk as it is, in turn.
"""

# mypy: disable-error-code="misc,no-any-return,no-untyped-call"
# Beam's file systems have no types.

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

from apache_beam.io.filesystem import FileMetadata, MatchResult
from apache_beam.io.localfilesystem import LocalFileSystem

from benchmarks.batch import write_photos

# The goals: ten million records on eight workers in five minutes; of the speed on the disk itself.
MANY, WORKERS, MINUTES = 10_000_000, 8, 5
SHARE_WITH_LATE_STORAGE = 0.9

_SCHEME = "late:/"
_BATCH_SIZE = 8
_ROUNDS = 3


class LateFileSystem(LocalFileSystem):
    """This machine's files as `late://PATH`, each opened some time after it was asked for."""

    seconds = 0.05

    @classmethod
    def scheme(cls) -> str:
        """Return the beginning of its URLs."""
        return "late"

    def open(self, path: str, *arguments: Any, **options: Any) -> BinaryIO:
        """Open a file to read."""
        time.sleep(self.seconds)
        return super().open(_local(path), *arguments, **options)

    def create(self, path: str, *arguments: Any, **options: Any) -> BinaryIO:
        """Open a file to write."""
        time.sleep(self.seconds)
        return super().create(_local(path), *arguments, **options)

    def exists(self, path: str) -> bool:
        """Return whether a file is there."""
        return super().exists(_local(path))

    def match(self, patterns: list[str], limits: list[int] | None = None) -> list[MatchResult]:
        """Find files."""
        return [
            MatchResult(pattern, [_of_url(file) for file in found.metadata_list])
            for pattern, found in zip(patterns, super().match([*map(_local, patterns)], limits), strict=True)
        ]

    def mkdirs(self, path: str) -> None:
        """Make a folder."""
        super().mkdirs(_local(path))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        """Give files other names."""
        super().rename([*map(_local, source_file_names)], [*map(_local, destination_file_names)])


def _of_url(file: FileMetadata) -> FileMetadata:
    return FileMetadata(_SCHEME + file.path, file.size_in_bytes, file.last_updated_in_seconds)


def _local(url: str) -> str:
    return url.removeprefix(_SCHEME)


def main() -> None:
    """Print what each costs, and the goals with what was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--late", type=float, default=0.05, help="seconds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-storage-") as work:
        folder = Path(work)
        write = "from pathlib import Path; from benchmarks.server_process import write_model; write_model(Path({!r}))"
        subprocess.run([sys.executable, "-c", write.format(str(folder / "model/1"))], check=True, capture_output=True)
        if arguments.records:
            measure_resuming(folder, sorted(arguments.records))
        if arguments.photos:
            LateFileSystem.seconds = arguments.late
            measure_late_storage(folder, arguments.photos)


def measure_resuming(folder: Path, numbers: list[int]) -> None:
    """Print seconds and processor seconds of jobs that have nothing to do, and the cost of a record."""
    print(f"{'records':>12}{'seconds':>10}{'processor, s':>14}", flush=True)
    spent = []
    for number in numbers:
        place = folder / f"resumed-{number}"
        write_earlier_run(place, folder / "model", number)
        command = ["batch", "--input", place / "in", "--output", place / "out", "--model", folder / "model"]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tintype.cli", *map(str, command), "--workers", "2", "--sample", "0"],
            capture_output=True,
            text=True,
        )
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode or f" {number} done before" not in done.stdout.replace(",", ""):
            sys.exit(f"expected {number} photographs to be skipped:\n{done.stdout}{done.stderr[-2000:]}")
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        print(f"{number:12,}{seconds:10.1f}{spent[-1]:14.1f}", flush=True)
    if len(numbers) > 1:
        each = (spent[-1] - spent[0]) / (numbers[-1] - numbers[0])
        minutes = each * MANY / WORKERS / 60
        print(f"{1000 * each:.2f} ms of a processor a record: {MANY:,} on {WORKERS} workers in {minutes:.1f} minutes,")
        print(f"wanted {MINUTES}: {'reached' if minutes <= MINUTES else 'MISSED'}")


def write_earlier_run(place: Path, model: Path, number: int) -> None:
    """Write photographs, results and records as a run leaves them; the files hold a byte each, as nobody opens them."""
    from photo.folders import ListedFile
    from serving.batch.model_in_worker import SavedModelHandler
    from serving.batch.outcomes import DONE, Outcome
    from serving.batch.output_settings import OutputSettings
    from serving.batch.records import RecordWriter

    fingerprint = SavedModelHandler(str(model)).identity().description.fingerprint
    writer = RecordWriter(str(place / "out"))
    for index in range(number):
        name = f"{index // 1000:05}/{index % 1000:03}.jpg"
        for kind in ("in", "out"):
            path = place / kind / name
            if index % 1000 == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(b".")
        photo = place / "in" / name
        outcome = Outcome(
            str(photo),
            DONE,
            output=name,
            key=name,
            settings=OutputSettings().digest(name),
            input_bytes=1,
            output_bytes=1,
            input_sha256="0" * 64,
            output_sha256="0" * 64,
            model_version="1",
            model_fingerprint=fingerprint,
            finished=1.0,
            input_stamp=ListedFile(str(photo), 1, photo.stat().st_mtime_ns).stamp,
        )
        writer.add(outcome)
    writer.close()


def measure_late_storage(folder: Path, photos: int) -> None:
    """Colour the same photographs from and to the disk as it is, and with every opening delayed; print both rates."""
    from serving.batch.job import BatchJob
    from serving.batch.job_options import JobOptions
    from serving.batch.local_runner import local_options
    from serving.batch.model_in_worker import SavedModelHandler
    from serving.batch.running import run_batch

    write_photos(folder / "photos", photos, 1.0)
    handler = SavedModelHandler(str(folder / "model"), batch_size=_BATCH_SIZE)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    rates: dict[str, list[float]] = {"": [], _SCHEME: []}
    for number in range(_ROUNDS + 1):
        for scheme, found in rates.items():
            inputs = [f"{scheme}{path}" for path in sorted((folder / "photos").iterdir())]
            listed = folder / "list.txt"
            listed.write_text("\n".join(inputs))
            out = f"{scheme}{folder}/late-{number}-{len(scheme)}"
            job = BatchJob([str(listed)], out, handler, options=JobOptions(sample=0))
            summary = run_batch(job, local_options(1), show_progress=False)
            if summary.done != photos:
                sys.exit(f"expected {photos} photographs, received {summary}")
            if number:  # the first traces the network
                found.append(summary.photos_per_second)
    late = statistics.median(b / a for a, b in zip(rates[""], rates[_SCHEME], strict=True))
    print(f"\nthe disk as it is: {statistics.median(rates['']):.2f} photographs/s")
    print(f"every opening {LateFileSystem.seconds:g} s late: {statistics.median(rates[_SCHEME]):.2f} photographs/s")
    print(f"{late:.2f} of it, wanted {SHARE_WITH_LATE_STORAGE}")


if __name__ == "__main__":
    main()
