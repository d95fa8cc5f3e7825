"""Takes the network's answers: a photograph with its colour, or what became of one that the model refused."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import TaggedOutput

from serving.batch.elements import OUTCOMES, ColoredPhoto, ElementOrOutcome, PreparedPhoto
from serving.batch.model_handler import ColorHandler, PredictedAb
from serving.batch.outcomes import failed_by


class TakeAnswers(beam.DoFn):
    """PredictionResult -> ColoredPhoto, or an outcome when the model refused the photograph."""

    def __init__(self, handler: ColorHandler):
        self._handler = handler

    def process(self, prediction: PredictionResult) -> Iterator[ElementOrOutcome]:
        """Take one."""
        photo = cast(PreparedPhoto, prediction.example)
        answer = cast(PredictedAb | Exception, prediction.inference)
        if isinstance(answer, Exception):
            yield TaggedOutput(OUTCOMES, failed_by(photo.task.shown_path, answer, "refused"))
            return
        identity = self._handler.identity()
        photo = replace(photo, seconds=photo.seconds + answer.seconds)
        yield ColoredPhoto(photo, answer.ab, identity.version, identity.description.fingerprint)
