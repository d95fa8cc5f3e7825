"""What `tintype colorize` says of its photographs: in words for people, or as JSON, a line for each."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from tintype.photo_tasks import Tasks, is_file_name

_PANEL = "What is said"


@dataclass(frozen=True)
class Report:
    """How it is said what becomes of the photographs.

    Attributes:
        quiet: only what is wrong, on standard error.
        as_json: a line for each photograph on standard output.
    """

    quiet: bool = field(
        default=False,
        metadata={"help": "Say only what is left out.", "flag": ("--quiet", "-q"), "panel": _PANEL},
    )
    as_json: bool = field(
        default=False,
        metadata={"help": "Write a line of JSON for each photograph.", "flag": "--json", "panel": _PANEL},
    )

    def colored(self, photo: Path, results: Sequence[Path], notes: Sequence[str]) -> None:
        """Say, where that is wanted as JSON, that a photograph is coloured."""
        self._as_json(photo, "coloured", results=[*map(str, results)], notes=[*notes])

    def end(self, colored: int | None, tasks: Tasks, out: Path, *, tells_existing: bool) -> None:
        """Say what became of all photographs that are not coloured, and what is to be known of those that are.

        Ends the command with exit code 1 where some were left out.

        Args:
            colored: how many; None where nothing was to be done but to say which would be coloured.
            tasks: the photographs.
            out: where the results are.
            tells_existing: name the results that were there already.
        """
        if colored is None:
            self._planned(tasks)
        for path, note in tasks.notes:
            self._warn(f"{path}: {note}")
        for path, reason in tasks.passed_over:
            self._tell(f"passed over in {path}: {reason}")
        for path, there in tasks.existing:
            self._as_json(path, "existing", results=[str(there)])
            if tells_existing:
                self._tell(f"left as it is: {there} exists already; --overwrite replaces it")
        for path, reason in tasks.in_color:
            self._as_json(path, "in colour", reason=reason)
            self._tell(f"left as it is {path}: {reason}")
        for path, reason in tasks.left_out:
            self._as_json(path, "left out", reason=reason)
            typer.secho(f"left out {path}: {reason}", fg="yellow", err=True)
        if colored is not None and not self.quiet:
            typer.echo(summary(colored, tasks, out), err=self.as_json)
        if tasks.left_out:
            raise typer.Exit(1)

    def _planned(self, tasks: Tasks) -> None:
        for task in tasks.ready:
            if self.as_json:
                self._as_json(task.source, "planned", results=[*map(str, task.targets)])
            else:
                typer.echo(f"{task.source} -> {', '.join(map(str, task.targets))}")

    def _tell(self, words: str) -> None:
        if not self.quiet:
            typer.echo(words, err=True)

    def _warn(self, words: str) -> None:
        if not self.quiet:
            typer.secho(words, fg="yellow", err=True)

    def _as_json(self, photo: Path, outcome: str, **more: object) -> None:
        if self.as_json:
            typer.echo(json.dumps({"photo": str(photo), "outcome": outcome, **more}))


def summary(colored: int, tasks: Tasks, out: Path) -> str:
    """Return in a sentence how many photographs were coloured, and what became of the others."""
    place = f"{out}" if is_file_name(out) else f"{out}{os.sep}"
    others = "; ".join(_others(tasks.total - colored, len(tasks.existing)))
    plural = "s" if tasks.total != 1 else ""
    return f"coloured {colored} of {tasks.total} photograph{plural} into {place}{f' ({others})' if others else ''}"


def _others(count: int, existing: int) -> Iterator[str]:
    if count > existing:
        yield f"{count - existing} left out"
    if existing:
        yield f"{existing} there already"
