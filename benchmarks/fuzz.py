"""Reads as many files of every kind, whole and damaged, as wanted, and says what went wrong with them.

    python -m benchmarks.fuzz [--seeds 100] [--files 1000] [--results build/fuzz.jsonl] [--keep FOLDER]

Every file is read by two processes whose fresh memory is filled with different bytes. A crash, an error that is no
PhotoError, pixels that differ between the two, pixels of a whole file that are not its own, and a picture that is left
out without a word are faults; the command ends with 1 when there is one.

A seed stands for so many files, always the same ones. The results hold a line for each seed that was read to its end:
after a stop the same command goes on with the next seed. Lines of other code count for nothing. At the end stands a
table of all seeds.
"""

import argparse
import functools
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz_files import FuzzFile, fuzz_file
from benchmarks.fuzz_reader import Answer, Reader, digest

# Of a step of 8 bits: a converted value may be rounded twice.
_TOLERANCE = 1.01 / 255

_PROGRESS_SECONDS = 60.0

_COLUMNS = {
    "whole": "whole, read",
    "damaged, read": "damaged, read",
    "damaged, refused": "damaged, refused in words",
    "fault": "faults",
}

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class SeedResult:
    """What became of the files of a seed.

    Attributes:
        code: digest of the reader and of what makes the files.
        seed: of the files.
        files: how many.
        seconds: it took.
        outcomes: by the kind of file, how many came to each of `_COLUMNS`.
        faults: a line for each.
    """

    code: str
    seed: int
    files: int
    seconds: float
    outcomes: dict[str, dict[str, int]]
    faults: list[str]


@dataclass
class Readers:
    """Two processes that read the same files."""

    first: Reader = field(default_factory=lambda: Reader(0x55))
    second: Reader = field(default_factory=lambda: Reader(0xAA))

    def read(self, file: FuzzFile) -> tuple[Answer, str]:
        """Return what became of a file, and what is wrong with that; "" for nothing."""
        self.first.ask(file.data)
        self.second.ask(file.data)
        answer, other = self.first.answer(), self.second.answer()
        return answer, answer.bug or other.bug or _fault(file, answer, other)

    def close(self) -> None:
        """End them."""
        self.first.close()
        self.second.close()


def _fault(file: FuzzFile, answer: Answer, other: Answer) -> str:
    if digest(answer) != digest(other):
        return "the pixels come from memory that nobody filled"
    if file.pages is None:
        return ""
    if answer.pixels is None:
        return f"a whole file was refused: {answer.reason}"
    if answer.pages != file.pages or answer.more != file.more:
        return f"{answer.pages} pages and {answer.more} more pictures, not {file.pages} and {file.more}"
    if answer.more and not answer.notes:
        return "pictures were left out without a word"
    if file.truth is not None and file.visible is not None:
        if answer.pixels.shape != file.truth.shape:
            return f"{answer.pixels.shape}, not {file.truth.shape}"
        away = np.abs(answer.pixels / np.iinfo(answer.pixels.dtype).max - file.truth)[file.visible]
        if away.size and away.max() > _TOLERANCE:
            return f"pixels are up to {away.max():.3f} away from those that were written"
    return ""


def _column(file: FuzzFile, answer: Answer, fault: str) -> str:
    if fault:
        return "fault"
    if file.pages is not None:
        return "whole"
    return "damaged, refused" if answer.pixels is None else "damaged, read"


def read_seed(readers: Readers, seed: int, files: int, keep: Path | None, progress: "Progress") -> SeedResult:
    """Read the files of a seed; those with a fault are kept in a folder, where one is named."""
    outcomes: dict[str, Counter[str]] = {}
    faults, started = [], time.monotonic()
    for number in range(files):
        file = fuzz_file(Random(f"{seed} {number}"))
        answer, fault = readers.read(file)
        kind = file.kind.split()[0]
        outcomes.setdefault(kind, Counter())[_column(file, answer, fault)] += 1
        if fault:
            faults.append(f"seed {seed}, file {number}: {file.kind}: {fault}")
            print(faults[-1], flush=True)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{number}.bin").write_bytes(file.data)
        progress.note(seed, bool(fault))
    seconds = round(time.monotonic() - started, 1)
    return SeedResult(
        code_digest(), seed, files, seconds, {kind: dict(found) for kind, found in outcomes.items()}, faults
    )


class Progress:
    """Prints a line a minute.

    Args:
        files: to read in all.
        done: that were read before.
        faults: that were found before.
    """

    def __init__(self, files: int, done: int, faults: int):
        self._files, self._done, self._faults = files, done, faults
        self._read, self._started, self._printed = 0, time.monotonic(), time.monotonic()

    def note(self, seed: int, is_fault: bool) -> None:
        """Count a file."""
        self._read += 1
        self._faults += is_fault
        now = time.monotonic()
        if now - self._printed < _PROGRESS_SECONDS:
            return
        self._printed = now
        done = self._done + self._read
        left = (self._files - done) * (now - self._started) / self._read
        print(f"seed {seed}: {done:,} of {self._files:,} files, {self._faults} faults, {left:.0f} s left", flush=True)


@functools.cache  # of the code that runs, whatever is written meanwhile
def code_digest() -> str:
    """Return hexadecimal digits that change with the reader, and with what makes the files."""
    sources = sorted([*(_ROOT / "photo").glob("*.py"), *(_ROOT / "benchmarks").glob("fuzz*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _results_in(path: Path, files: int) -> Iterator[SeedResult]:
    """Yield what earlier runs of this code found; a line that a stop cut off is none."""
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        try:
            result = SeedResult(**json.loads(line))
        except (TypeError, ValueError):
            continue
        if (result.code, result.files) == (code_digest(), files):
            yield result


def table(results: list[SeedResult]) -> str:
    """Return the outcomes of all seeds as a table in Markdown, and a line with their sum."""
    by_kind: dict[str, Counter[str]] = {}
    for result in results:
        for kind, outcomes in result.outcomes.items():
            by_kind.setdefault(kind, Counter()).update(outcomes)
    total = sum(by_kind.values(), Counter[str]())
    lines = [f"| kind | files | {' | '.join(_COLUMNS.values())} |", "| --- " * (2 + len(_COLUMNS)) + "|"]
    for kind, outcomes in (*sorted(by_kind.items()), ("all", total)):
        numbers = [sum(outcomes.values()), *(outcomes[column] for column in _COLUMNS)]
        lines.append(f"| {kind} | {' | '.join(f'{number:,}' for number in numbers)} |")
    seeds, seconds = [result.seed for result in results], sum(result.seconds for result in results)
    lines += ["", f"Seeds {min(seeds)} to {max(seeds)}, {seconds:,.0f} s of two processes, code {code_digest()}."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Read the files of all seeds that are not read yet, and print what became of all; 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="how many, from 0")
    parser.add_argument("--files", type=int, default=1000, help="of each seed")
    parser.add_argument("--results", type=Path, default=Path("build/fuzz.jsonl"), help="a line for each seed")
    parser.add_argument("--keep", type=Path, help="where files with a fault are written")
    given = parser.parse_args(arguments)
    known = {result.seed: result for result in _results_in(given.results, given.files)}
    results = [result for seed, result in sorted(known.items()) if seed < given.seeds]
    progress = Progress(
        given.seeds * given.files, given.files * len(results), sum(len(result.faults) for result in results)
    )
    given.results.parent.mkdir(parents=True, exist_ok=True)
    readers = Readers()
    try:
        for seed in range(given.seeds):
            if seed in known:
                continue
            results.append(read_seed(readers, seed, given.files, given.keep, progress))
            with given.results.open("a") as lines:
                lines.write(json.dumps(asdict(results[-1])) + "\n")
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the seed that was not read to its end", flush=True)
    finally:
        readers.close()
    if results:
        print(table(results))
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
