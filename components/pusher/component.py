"""The Pusher's place in the pipeline: what it takes, what it gives."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import component_spec, standard_artifacts

from components.pusher.config import PushConfig
from components.pusher.executor import Executor


class PusherSpec(component_spec.ComponentSpec):
    """Two blessings and a model in, a record of the push out."""

    PARAMETERS = {  # noqa: RUF012 - TFX's form
        "config": component_spec.ExecutionParameter(type=str),
        "destination": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
    }
    OUTPUTS = {  # noqa: RUF012
        "pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
    }


class Pusher(base_component.BaseComponent):
    """Pushes a blessed model to a serving base path, whole or not at all.

    TFX's own Pusher copies file by file into the final folder, where a server that polls it can find half a model.

    Args:
        model: the Trainer's Model.
        model_blessing: the Evaluator's ModelBlessing.
        infra_blessing: the Canary's InfraBlessing.
        config: where to, and how many versions stay.
        destination: the serving base path, also as a parameter of the run; `config.destination` when it is not given.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel[Any],
        model_blessing: types.BaseChannel[Any],
        infra_blessing: types.BaseChannel[Any],
        config: PushConfig,
        destination: str | RuntimeParameter | None = None,
    ):
        destination = destination or config.destination
        if not destination:
            raise ValueError("Pusher needs a destination, the serving base path; got none")
        super().__init__(
            PusherSpec(  # type: ignore[no-untyped-call] # of TFX
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                config=config.model_dump_json(),
                destination=destination,
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
