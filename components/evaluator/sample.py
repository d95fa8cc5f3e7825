"""What an evaluation measures on a sample of the photographs alone, because it asks the model many times for each."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.content import content_number
from components.evaluator.hint_curve import measure_hints
from components.evaluator.metric_rows import HINT_CURVE
from components.evaluator.variants import VARIANTS, measure_variants
from serving.model.saved_colorizer import SavedColorizer

SAMPLE_PHOTOS = 64
"""Enough for means that are steady."""


def measure_sample(model: SavedColorizer, squares: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Return `variants` and `hint_curve`, each None where the model cannot be asked for it.

    Args:
        model: a loaded model.
        squares: true photographs at the model's size, sRGB uint8 [S, S, 3].
    """
    return {VARIANTS: measure_variants(model, squares), HINT_CURVE: measure_hints(model, squares)}


class Sample:
    """The SAMPLE_PHOTOS photographs whose pixels' hashes are the smallest: a draw that no order or label sways."""

    def __init__(self) -> None:
        # The largest hash comes first: heaps of heapq have the smallest there, so the numbers are negative.
        self._heap: list[tuple[int, int, NDArray[np.uint8]]] = []
        self._seen = 0

    def add(self, square: NDArray[np.uint8]) -> None:
        """Take a photo, uint8 [S, S, 3], and keep it unless SAMPLE_PHOTOS others have smaller hashes."""
        self._seen += 1
        entry = (-content_number(square), self._seen, square)
        if len(self._heap) < SAMPLE_PHOTOS:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def squares(self) -> list[NDArray[np.uint8]]:
        """Return the photographs that are kept, by their hashes."""
        return [square for _, _, square in sorted(self._heap, key=lambda entry: -entry[0])]
