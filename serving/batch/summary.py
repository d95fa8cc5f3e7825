"""What a batch job did, in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSummary:
    """What a job did.

    Attributes:
        done: photographs coloured by this run.
        skipped: photographs that an earlier run had coloured.
        failed: photographs left out, by reason.
        seconds: from the start of the runner to the last file.
        photos_per_second: of those coloured.
    """

    done: int
    skipped: int
    failed: dict[str, int]
    seconds: float
    photos_per_second: float

    @property
    def bad(self) -> int:
        """How many were left out."""
        return sum(self.failed.values())

    @property
    def total(self) -> int:
        """Photographs found."""
        return self.done + self.skipped + self.bad

    @property
    def reasons(self) -> str:
        """Why they were left out, in words: "3 not_an_image, 1 truncated"."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self.failed.items()))
