"""The promotions and rollbacks of a model, as comments in the servers' config file tell of them."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(r"# tintype rollout: (\{.*\})")
_LONGEST = 100


@dataclass(frozen=True)
class Step:
    """One line of the history in the config file.

    Attributes:
        at: when, in UTC, as ISO 8601.
        model: name of the model.
        action: "promote" or "rollback".
        before: the version labelled stable until then; None if none was.
        after: the version labelled stable since.
    """

    at: str
    model: str
    action: str
    before: int | None
    after: int

    def line(self) -> str:
        """The comment it is written as."""
        return f"# tintype rollout: {json.dumps(vars(self))}"


def steps_in(comments: Iterable[str], model_name: str) -> list[Step]:
    """Return the steps of a model among the comments, the oldest first; a line that somebody spoilt is passed over."""
    return [step for step in _steps(comments) if step.model == model_name]


def _steps(comments: Iterable[str]) -> Iterator[Step]:
    for line in comments:
        if found := _LINE.fullmatch(line):
            try:
                yield Step(**json.loads(found[1]))
            except (ValueError, TypeError):
                continue


def with_step(comments: list[str], step: Step) -> list[str]:
    """Return the comments with one step more; the oldest steps are dropped when there are very many."""
    others = [line for line in comments if not _LINE.fullmatch(line)]
    history = [line for line in comments if _LINE.fullmatch(line)]
    return [*others, *[*history, step.line()][-_LONGEST:]]


def earlier_versions(history: Iterable[Step], stable: int | None) -> list[int]:
    """Return the versions that were stable before `stable` and were not rolled back, the latest first."""
    good: list[int] = []
    for step in history:
        if step.before is not None and step.before not in good[-1:] and step.action == "promote":
            good.append(step.before)
        if step.action == "rollback":
            good = [version for version in good if version != step.before]
            while good and good[-1] != step.after:
                good.pop()
        if step.after not in good[-1:]:
            good.append(step.after)
    earlier = good[:-1] if good[-1:] == [stable] else good
    return [version for version in dict.fromkeys(reversed(earlier)) if version != stable]
