"""Reads as many files of every kind, whole and damaged, as wanted, and says what went wrong with them.

    python -m benchmarks.fuzz [--examples 100000] [--seed 0] [--keep FOLDER]

Every file is read by two processes whose fresh memory is filled with different bytes. A crash, an error that is no
PhotoError, pixels that differ between the two, pixels of a whole file that are not its own, and a picture that is left
out without a word are faults; the command ends with 1 when there is one.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz_files import FuzzFile, fuzz_file
from benchmarks.fuzz_reader import Answer, Reader, digest

# Of a step of 8 bits: a converted value may be rounded twice.
_TOLERANCE = 1.01 / 255


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


def main() -> None:
    """Read files, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where files with a fault are written")
    arguments = parser.parse_args()
    readers, outcomes, faults = Readers(), Counter[str](), 0
    started = time.monotonic()
    for number in range(arguments.examples):
        file = fuzz_file(Random(f"{arguments.seed} {number}"))
        answer, fault = readers.read(file)
        outcomes[("whole" if file.pages else "damaged") + ", " + (answer.reason or "read")] += 1
        if fault:
            faults += 1
            print(f"{number}: {file.kind}: {fault}", flush=True)
            if arguments.keep is not None:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f"{number}.bin").write_bytes(file.data)
        if (number + 1) % 10_000 == 0:
            print(f"{number + 1} files, {faults} faults, {time.monotonic() - started:.0f} s", flush=True)
    readers.close()
    print(f"{arguments.examples} files in {time.monotonic() - started:.0f} s, {faults} faults")
    for outcome, count in outcomes.most_common():
        print(f"{count:8} {outcome}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
