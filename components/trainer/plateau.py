"""When the learning rates are lowered: the training loss has stopped falling."""

from collections.abc import Sequence

from components.trainer.config import PlateauConfig


def count_plateaus(losses: Sequence[float], config: PlateauConfig) -> int:
    """How often the rates are lowered over a history of measured losses, oldest first.

    A plateau is `patience` measurements in a row of which none is below the best one before by more than
    `min_improvement` of it. Then the counting starts anew, against the same best one.
    """
    plateaus = waited = 0
    best: float | None = None
    for loss in losses:
        if best is None or loss < best - config.min_improvement * abs(best):
            best, waited = loss, 0
            continue
        waited += 1
        if waited == config.patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus
