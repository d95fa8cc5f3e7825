"""When a training is past saving: the colours of all photographs became alike, or the loss grew out of hand."""

from collections.abc import Mapping, Sequence

# Below this share of the most diverse reading so far, the generator has given up telling photographs apart.
COLLAPSED_SHARE = 0.1
# Above this many times the lowest reconstruction loss so far, the generator is being torn away from the photographs.
DIVERGED_FACTOR = 3.0
# Readings in a row that are bad: the adversaries recover from a single one.
PATIENCE = 5


class CollapseWatch:
    """Follows the readings of a run.

    Args:
        history: the readings of a run that goes on, oldest first; none for a new one.
    """

    def __init__(self, history: Sequence[Mapping[str, float]] = ()):
        self._most_diverse = max((row["color_diversity"] for row in history), default=0.0)
        self._lowest_loss = min((row["reconstruction_loss"] for row in history), default=float("inf"))
        self._bad_readings = 0

    @property
    def suspicious(self) -> bool:
        """Whether the last reading was bad; weights that are to be kept are those from before."""
        return self._bad_readings > 0

    def update(self, readings: Mapping[str, float]) -> str | None:
        """Take the next reading; what is wrong once PATIENCE of them were bad, else None."""
        diversity, loss = readings["color_diversity"], readings["reconstruction_loss"]
        self._most_diverse = max(self._most_diverse, diversity)
        self._lowest_loss = min(self._lowest_loss, loss)
        wrong = None
        if diversity < COLLAPSED_SHARE * self._most_diverse:
            wrong = (
                f"the photographs' colours differ by {diversity:.2g} of how much the true ones do, after "
                f"{self._most_diverse:.2g}: the generator collapsed"
            )
        elif loss > DIVERGED_FACTOR * self._lowest_loss:
            wrong = f"the reconstruction loss is {loss:.3g} after {self._lowest_loss:.3g}: the training diverged"
        self._bad_readings = self._bad_readings + 1 if wrong else 0
        return wrong if self._bad_readings >= PATIENCE else None
