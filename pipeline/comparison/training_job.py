"""What the process of an entry is given: what to train, and what to measure it on."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TrainingJob:
    """The arguments of `train_and_measure`, as JSON can hold them.

    Attributes:
        trainer_config: the fields of a TrainerConfig.
        examples: the folder to train on.
        measured_examples: the folder whose split eval is measured, unless there is `test_data`.
        test_data: a location of photographs to measure on, or None.
        size: the side in pixels they are measured at.
        rows: photographs in the grid.
        training_fingerprint: of all that decides the weights; the results repeat it, as the next one.
        fingerprint: of that and of what is measured.
    """

    trainer_config: dict[str, Any]
    examples: str
    measured_examples: str
    test_data: str | None
    size: int
    rows: int
    training_fingerprint: str
    fingerprint: str
