"""The network of a batch job, as Beam's RunInference drives it: what a model in each worker and a server share."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from numpy.typing import NDArray

from photo.coloring import hint_map, mean_ab
from serving.batch.elements import PreparedPhoto
from serving.batch.errors import BatchStopped
from serving.model.description import ModelDescription

# A batch is closed before its photographs hold more pixels than this; one photograph may hold more, and is alone then.
MAX_BATCH_PIXELS = 64_000_000


@dataclass(frozen=True)
class ModelIdentity:
    """What a job has to know of its model.

    Attributes:
        description: what it says of itself.
        version: its number as it was pushed; "" when it lies in a folder without one.
    """

    description: ModelDescription
    version: str


class PredictedAb(NamedTuple):
    """The answer for one photograph.

    Attributes:
        ab: of the square of each of its pages a*b*, float32 [S, S, 2], CIE units.
        seconds: the photograph's share of the time its batch took.
    """

    ab: tuple[NDArray[np.float32], ...]
    seconds: float


class AbModel(Protocol):
    """What a worker asks: the model itself, or a server that has it."""

    def predict_ab(self, squares: NDArray[np.float32], hints: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return a*b*, [N, S, S, 2], of L* [N, S, S, 1] and of hints [N, S, S, 3]."""


class ColorHandler(ModelHandler[PreparedPhoto, PredictionResult, AbModel]):
    """What both handlers share: batches of photographs, squares in, a*b* or a refusal out.

    Each prediction's `inference` is `PredictedAb`, or the exception that the square met.
    """

    def __init__(self, batch_size: int):
        if batch_size < 1:
            raise ValueError(f"expected a batch size of at least 1, received {batch_size}")
        self.batch_size = batch_size
        # One size alone: with a choice Beam would experiment with several.
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size, element_size_fn=self.weight)

    def weight(self, element: PreparedPhoto) -> int:
        """Return the share of a batch that a photograph takes, so that large ones do not gather."""
        pixels = sum(page.prepared.lightness.size for page in element.pages)
        return max(1, round(pixels * self.batch_size / MAX_BATCH_PIXELS))

    def get_num_bytes(self, batch: Sequence[PreparedPhoto]) -> int:
        """Return the bytes of the squares; RunInference would pickle whole photographs to count them."""
        return sum(element.prepared.square.nbytes for element in batch)

    def get_metrics_namespace(self) -> str:
        """Return the name that Beam's own figures of the inference go by."""
        return "tintype"

    def identity(self) -> ModelIdentity:
        """Say what the model is; loads it or asks for it when it must."""
        raise NotImplementedError

    def run_inference(
        self, batch: Sequence[PreparedPhoto], model: AbModel, inference_args: dict[str, Any] | None = None
    ) -> Iterator[PredictionResult]:
        """Colour the squares of a batch in one go; when that fails, each alone.

        Raises:
            BatchStopped: every photograph would fail.
        """
        del inference_args
        if not batch:  # Beam sends the batch so far, be it empty, when the first photograph is a large one
            return
        started = time.perf_counter()
        try:
            answers = self._answers(batch, model)
            # Pages after the first are asked for file by file: one file may have more of them than a batch has places.
            more = [[self._answers([page], model)[0] for page in element.more_pages] for element in batch]
        except BatchStopped:
            raise
        except Exception as error:
            failure = error
        else:
            seconds = (time.perf_counter() - started) / len(batch)
            for element, first, others in zip(batch, answers, more, strict=True):
                yield PredictionResult(element, PredictedAb((first, *others), seconds))
            return
        if len(batch) == 1:
            yield PredictionResult(batch[0], failure)
            return
        for element in batch:
            yield from self.run_inference([element], model)

    def _answers(self, batch: Sequence[PreparedPhoto], model: AbModel) -> list[NDArray[np.float32]]:
        """Return a*b* for the square of each photograph; of several sides the mean."""
        at_sides = [(element.prepared, *element.smaller) for element in batch]
        found = []
        for prepared in zip(*at_sides, strict=True):
            has_hints = any(each.hints for each in prepared)
            hints = np.stack([hint_map(each) for each in prepared]) if has_hints else None
            found.append(self._predict(np.stack([each.square for each in prepared]), hints, model))
        return [mean_ab(prepared, ab) for prepared, ab in zip(at_sides, zip(*found, strict=True), strict=True)]

    def _predict(
        self, squares: NDArray[np.float32], hints: NDArray[np.float32] | None, model: AbModel
    ) -> NDArray[np.float32]:
        """Return what the model answers; raises BatchStopped where it would answer no other photograph either."""
        return model.predict_ab(squares, hints)
