"""DataGate: the step between ExampleValidator and Trainer that really stops the pipeline on anomalies."""

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import DataVerdict
from components.data_gate.executor import MIN_PHOTOS_KEY, VERDICT_KEY, Executor

# Without these two there is nothing to learn from, or nothing to judge by; an empty test split harms no step.
MIN_PHOTOS = {"train": 1, "eval": 1}


class DataGateSpec(types.ComponentSpec):
    """What goes in and out of the gate."""

    PARAMETERS = {MIN_PHOTOS_KEY: component_spec.ExecutionParameter(type=str)}  # noqa: RUF012 - TFX's form
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
    }
    OUTPUTS = {VERDICT_KEY: component_spec.ChannelParameter(type=DataVerdict)}  # noqa: RUF012


class DataGate(base_component.BaseComponent):
    """Fails, naming split, feature and description, unless the data is fit to train on.

    Outputs `verdict`, a DataVerdict: take it as an input of what must not run on stopped data.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel[Any],
        anomalies: types.BaseChannel[Any],
        *,
        min_photos: Mapping[str, int] = MIN_PHOTOS,
    ):
        """Describe the step.

        Args:
            examples: of ImageExampleGen.
            anomalies: of ExampleValidator.
            min_photos: the least number of photographs by split.
        """
        super().__init__(
            DataGateSpec(  # type: ignore[no-untyped-call] # of TFX
                examples=examples,
                anomalies=anomalies,
                min_photos=json.dumps(dict(min_photos), sort_keys=True),
                verdict=types.Channel(type=DataVerdict),
            )
        )
