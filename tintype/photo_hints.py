"""Which hints `tintype colorize` was given for which photograph: on the command line, in a file, or beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from photo.errors import TintypeError
from photo.hints import Hint, HintsByPhoto, hints_beside, parse_hint, read_hints_file
from tintype.photo_tasks import Task, Tasks


@dataclass(frozen=True)
class GivenHints:
    """The hints of a command.

    Attributes:
        texts: of the one photograph there is, as `--hint` has them.
        file: of many, a JSON of file names with lists of hints; None where there is none.
    """

    texts: tuple[str, ...] = ()
    file: Path | None = None

    def parsed(self) -> tuple[Hint, ...]:
        """Return those of the one photograph; raises typer.BadParameter for what is no hint."""
        try:
            return tuple(parse_hint(text) for text in self.texts)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--hint") from error

    def of_tasks(self, tasks: Tasks) -> dict[Path, tuple[Hint, ...]]:
        """Return the hints of each photograph that has some: the command line's, the file's, or those beside it.

        A photograph whose own file of hints cannot be used goes from `tasks.ready` to `tasks.left_out`.

        Raises:
            typer.BadParameter: `--hint` with several photographs, a wrong hint, or a file's name that fits none of
                the photographs.
            TintypeError: the file cannot be used.
        """
        if self.texts:
            if tasks.total != 1:
                raise typer.BadParameter(
                    f"there are {tasks.total} photographs; give their hints in a file (--hints)", param_hint="--hint"
                )
            return {task.source: self.parsed() for task in tasks.ready}
        if self.file is None:
            return _hints_of(tasks, hints_beside)
        by_photo = HintsByPhoto.from_json(read_hints_file(self.file), str(self.file))
        sources = [task.source for task in tasks.ready] + [source for source, _ in tasks.left_out]
        if unused := by_photo.unused_names([str(source) for source in sources]):
            raise typer.BadParameter(
                f"{self.file} names {', '.join(unused[:5])}, which is none of the photographs", param_hint="--hints"
            )
        return _hints_of(tasks, lambda source: by_photo.of(str(source)) or hints_beside(source))


def _hints_of(tasks: Tasks, hints_of: Callable[[Path], tuple[Hint, ...]]) -> dict[Path, tuple[Hint, ...]]:
    found: dict[Path, tuple[Hint, ...]] = {}
    ready: list[Task] = []
    for task in tasks.ready:
        try:
            hints = hints_of(task.source)
        except TintypeError as error:
            tasks.left_out.append((task.source, str(error)))
            continue
        ready.append(task)
        if hints:
            found[task.source] = hints
    tasks.ready = ready
    return found
