"""What is compared: entries from the command line or from a question's YAML, and the budget that each of them gets."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from photo.errors import TintypeError
from pipeline.comparison.methods.names import Method
from pipeline.config import ConfigError, RunConfig, load_config

QUESTIONS = Path(__file__).parent / "questions"

# More than any budget of time can hold.
_UNLIMITED_STEPS = 1_000_000_000
_UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0}
_LABEL = re.compile(r"[^\W_][\w .+*()-]*")


class ComparisonError(TintypeError):
    """A comparison cannot be started; the message says what was received and what was expected."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """What every entry may spend on training: `minutes`, or `steps`; the other is None."""

    minutes: float | None = None
    steps: int | None = None

    def settings(self) -> list[str]:
        """The budget as settings of a config."""
        if self.steps is not None:
            return [f"train.steps={self.steps}", "train.max_minutes=null"]
        return [f"train.steps={_UNLIMITED_STEPS}", f"train.max_minutes={self.minutes}"]

    def __str__(self) -> str:
        if self.minutes is None:
            return f"{self.steps} steps"
        return f"{self.minutes:g} minutes" if self.minutes >= 1 else f"{self.minutes * 60:g} seconds"


def parse_budget(text: str) -> Budget:
    """Read `10m`, `90s`, `1.5h` or `500steps`.

    Raises:
        ComparisonError: anything else, or nothing to spend.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|steps?)", text.strip())
    if match:
        number, unit = match.groups()
        if unit in _UNITS and float(number) > 0:
            return Budget(minutes=float(number) * _UNITS[unit])
        if unit not in _UNITS and number.isdigit() and int(number) > 0:
            return Budget(steps=int(number))
    raise ComparisonError(f"--budget wants a time or a number of steps, as 10m, 90s, 1.5h or 500steps; got {text!r}")


@dataclasses.dataclass(frozen=True)
class ComparisonEntry:
    """One column of the comparison.

    Attributes:
        label: its name in tables and pictures; no two entries share one.
        source: a recipe's name or a YAML file.
        settings: what sets it apart, as `section.field=value`.
        config: all of it together, checked.
    """

    label: str
    source: str
    settings: tuple[str, ...]
    config: RunConfig


class _QuestionEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    config: str
    settings: dict[str, Any] = {}


class Question(BaseModel):
    """A ready-made comparison: what it asks, and the entries that answer it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    question: str
    settings: dict[str, Any] = Field(default={}, description="section.field: value, for every entry")
    entries: tuple[_QuestionEntry, ...] = Field(min_length=1)
    methods: tuple[Method, ...] = Field(default=(), description="of others, shown beside them")


def question_names() -> list[str]:
    """Names of the questions that come with Tintype."""
    return sorted(path.stem for path in QUESTIONS.glob("*.yaml"))


def load_question(source: str) -> Question:
    """Read a question by its name, or from a YAML file of one's own.

    Raises:
        ComparisonError: there is none, or it is not one.
    """
    path = Path(source) if Path(source).is_file() else QUESTIONS / f"{source}.yaml"
    if not path.is_file():
        raise ComparisonError(f"no question {source}; give a YAML file or one of: {', '.join(question_names())}")
    try:
        return Question.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ComparisonError(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ComparisonError("\n".join([f"question {path} cannot be used:", *lines])) from None


def parse_entry(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Split `[LABEL=]CONFIG[:section.field=value,...]` into label, config and settings.

    A value may hold commas, as `[32,64]` does. Without a label the entry is called after its config and settings.

    Raises:
        ComparisonError: no config, a setting without a value, or a label that is not made of words.
    """
    if Path(text).is_file():
        return Path(text).stem, text, ()
    head, colon, tail = text.partition(":")
    label, equals, source = head.rpartition("=")
    settings = tuple(re.split(r",(?=[\w.]+=)", tail)) if tail else ()
    wrong = [setting for setting in settings if not re.match(r"[\w.]+=", setting)]
    if not source or (colon and not settings) or wrong or (equals and not _LABEL.fullmatch(label)):
        raise ComparisonError(
            f"an entry is [LABEL=]CONFIG[:section.field=value,...], as small=demo:train.batch_size=8; got {text!r}"
        )
    if not label:
        last_names = [re.sub(r"^[\w.]*\.(?=\w+=)", "", setting) for setting in settings]
        label = Path(source).stem + (f" ({', '.join(last_names)})" if last_names else "")
    return label, source, settings


def resolve_entries(
    configs: Sequence[str], question: Question | None, shared_settings: Sequence[str], budget: Budget
) -> list[ComparisonEntry]:
    """Load and check every entry before any of them costs time; the question's come first.

    Settings are applied in this order, later ones win: how often a budget is measured, the question's, `--set`, the
    entry's own, the budget.

    Raises:
        ComparisonError: no entries, two with one label, or entries that do not split photographs alike.
        ConfigError: a config or setting of one entry cannot be used.
    """
    asked = [parse_entry(text) for text in configs]
    of_question: tuple[str, ...] = ()
    if question is not None:
        of_question = _settings(question.settings)
        asked = [(entry.label, entry.config, _settings(entry.settings)) for entry in question.entries] + asked
    if not asked:
        raise ComparisonError(f"nothing to compare: give configs, or --question with one of {question_names()}")

    entries = []
    for label, source, settings in asked:
        chosen = [*of_question, *shared_settings, *settings]
        try:
            intervals = _measuring_intervals(load_config(source, chosen), budget)
            config = load_config(source, [*intervals, *chosen, *budget.settings()])
            entries.append(ComparisonEntry(label, source, settings, config))
        except ConfigError as error:
            raise ConfigError(f"{label}: {error}") from None
    labels = [entry.label for entry in entries]
    for label in labels:
        if labels.count(label) > 1:
            raise ComparisonError(f"{labels.count(label)} entries are called {label!r}: give each its own LABEL=")
    shares = {entry.config.data.splits for entry in entries}
    if len(shares) > 1:
        raise ComparisonError("every entry must split the photographs alike: data.splits differ; give one by --set")
    return entries


def _settings(fields: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}={json.dumps(value)}" for name, value in fields.items())


def _measuring_intervals(config: RunConfig, budget: Budget) -> list[str]:
    """Readings often enough for a curve, and for a budget of time to be kept: what a step costs is not known yet."""
    log_every, picture_every = 5, 25
    if budget.steps is not None:
        log_every, picture_every = max(1, budget.steps // 100), max(1, budget.steps // 20)
    settings = [f"train.log_every={log_every}", f"train.picture_every={picture_every}"]
    if config.train.plateau is not None:
        # Patience counts measurements; what the recipe means by it is so many steps.
        patience = round(config.train.plateau.patience * config.train.picture_every / picture_every)
        settings.append(f"train.plateau.patience={max(1, patience)}")
    return settings
