"""What the process of an entry or of a method is given, as JSON can hold it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MeasuringJob:
    """What is measured.

    Attributes:
        examples: the folder to learn from.
        measured_examples: the folder whose split eval is measured, unless there is `test_data`.
        test_data: a location of photographs to measure on, or None.
        size: the side in pixels they are measured at.
        rows: photographs in the grid.
        fingerprint: of all that decides the results, which repeat it.
    """

    examples: str
    measured_examples: str
    test_data: str | None
    size: int
    rows: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class TrainingJob(MeasuringJob):
    """The arguments of `train_and_measure`.

    Attributes:
        trainer_config: the fields of a TrainerConfig.
        training_fingerprint: of all that decides the weights; the results repeat it, too.
    """

    trainer_config: dict[str, Any]
    training_fingerprint: str


@dataclass(frozen=True, kw_only=True)
class MethodJob(MeasuringJob):
    """The arguments of `measure_method`.

    Attributes:
        method: of `methods.names.Method`.
    """

    method: str
