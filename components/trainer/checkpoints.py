"""What a training run leaves behind so that it can be killed at any moment and go on: its last two checkpoints."""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from absl import logging
from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.gan import ColorGan
from photo.errors import TintypeError
from photo.whole_file import whole_folder

KEPT = 2
_WEIGHTS, _STATE = "weights.npz", "state.json"
_PREFIX, _PART = "step_", ".part"

# A run may go on for longer, or be watched more closely, than it was meant to: the weights do not depend on it.
_MAY_DIFFER = frozenset(
    f"train.{field}"
    for field in (
        "steps",
        "max_minutes",
        "log_every",
        "picture_every",
        "preview_photos",
        "checkpoint_every",
        "cache_memory_share",
    )
)


class CheckpointMismatchError(TintypeError):
    """The checkpoints are those of another run."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands beside its weights.

    Attributes:
        seconds: spent on training so far.
        history: as in TrainingSummary.
    """

    seconds: float
    history: list[dict[str, float]]


class Checkpoints:
    """The folder of a run's checkpoints.

    Each is a folder `step_<number>` with every variable of the run (weights, moving average, both optimisers, the
    states of random generators) and, as JSON, the config, the photographs' fingerprint and the progress. It is
    written under another name, flushed to the disk and renamed: a checkpoint is whole or it is not there. The data
    needs no state, since a batch follows from the seed and the step.

    Args:
        folder: on this machine's file system; made when the first checkpoint is written.
        config: of the run.
        data_fingerprint: changes when the photographs do.
    """

    def __init__(self, folder: str, config: TrainerConfig, data_fingerprint: str):
        self._folder = Path(folder)
        self._config = config.model_dump(mode="json")
        self._data_fingerprint = data_fingerprint
        ends_matter = config.train.schedule.decay != "constant" or config.train.loss.adversarial_start > 0
        # The rates of every step follow from the last one: another end is another run.
        self._may_differ = _MAY_DIFFER - {"train.steps"} if ends_matter else _MAY_DIFFER

    def save(self, gan: ColorGan, progress: Progress) -> None:
        """Write a checkpoint of the current step and drop all but the last KEPT.

        Raises:
            TintypeError: the folder cannot be written; the checkpoints before are intact.
        """
        target = self._folder / f"{_PREFIX}{int(gan.step.numpy()):010d}"
        try:
            with whole_folder(target) as part:
                with open(part / _WEIGHTS, "wb") as file:
                    np.savez(file, **{name: variable.numpy() for name, variable in gan.named_variables()})
                    _flush(file)
                state = {
                    "config": self._config,
                    "data_fingerprint": self._data_fingerprint,
                    "weights_sha256": _sha256(part / _WEIGHTS),
                    **dataclasses.asdict(progress),
                }
                with open(part / _STATE, "w", encoding="utf-8") as file:
                    json.dump(state, file)
                    _flush(file)
        except OSError as error:
            raise TintypeError(f"the checkpoint {target} cannot be written: {error.strerror or error}") from None
        for old in list(self._newest_first())[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def restore(self, gan: ColorGan) -> Progress | None:
        """Bring `gan` to the newest checkpoint that is intact; None when there is none.

        Raises:
            CheckpointMismatchError: it is of another config or of other photographs; the message names the difference.
        """
        for folder in self._newest_first():
            try:
                state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
                if _sha256(folder / _WEIGHTS) != state["weights_sha256"]:
                    raise ValueError(f"{_WEIGHTS} is not what was written")
            except (OSError, ValueError, KeyError) as error:
                logging.warning("the checkpoint %s is damaged (%s); the one before is taken", folder, error)
                continue
            self._check(folder, state)
            try:
                with np.load(folder / _WEIGHTS) as weights:
                    gan.assign_variables(weights)
            except (KeyError, ValueError) as error:
                raise CheckpointMismatchError(
                    f"{folder} was written by another version of the networks ({error}); remove {self._folder} to "
                    "train anew"
                ) from error
            logging.info("going on from the checkpoint %s", folder)
            return Progress(seconds=state["seconds"], history=state["history"])
        return None

    def _check(self, folder: Path, state: dict[str, Any]) -> None:
        differences = [
            f"{name} was {before!r}, is {now!r}"
            for name, before, now in _differences(_with_later_fields(state["config"]), self._config)
            if name not in self._may_differ
        ]
        if state["data_fingerprint"] != self._data_fingerprint:
            differences.append("the photographs are others")
        if differences:
            raise CheckpointMismatchError(
                f"{folder} is a checkpoint of another run: {'; '.join(differences)}. Choose another folder, or remove "
                f"{self._folder} to train anew"
            )

    def _newest_first(self) -> Iterator[Path]:
        folders = (path for path in self._folder.glob(f"{_PREFIX}*") if path.suffix != _PART and path.is_dir())
        return iter(sorted(folders, reverse=True))


def _with_later_fields(config: dict[str, Any]) -> dict[str, Any]:
    """A config that an earlier version wrote; fields that it did not know stand at their defaults."""
    try:
        return TrainerConfig.model_validate(config).model_dump(mode="json")
    except ValidationError:  # a later version's, or damaged: every difference is told
        return config


def _differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        yield name, before, now


def _flush(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
