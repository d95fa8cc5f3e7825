"""The Pusher's place in the pipeline: what it takes, what it gives."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import component_spec, standard_artifacts

from components.pusher.config import PushConfig
from components.pusher.executor import Executor


class PusherSpec(component_spec.ComponentSpec):
    """Two blessings, a model and what is known of it in, a record of the push out."""

    PARAMETERS = {  # noqa: RUF012 - TFX's form
        "config": component_spec.ExecutionParameter(type=str),
        "destination": component_spec.ExecutionParameter(type=str),
        "run_config": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun, optional=True),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
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
        examples: the model was trained and measured on; like the next three, for the record that the version carries.
        model_run: the Trainer's ModelRun.
        evaluation: the Evaluator's ModelEvaluation.
        run_config: of the run, as JSON.
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
        *,
        examples: types.BaseChannel[Any] | None = None,
        model_run: types.BaseChannel[Any] | None = None,
        evaluation: types.BaseChannel[Any] | None = None,
        run_config: str | None = None,
    ):
        destination = destination or config.destination
        if not destination:
            raise ValueError("Pusher needs a destination, the serving base path; got none")
        known = {"examples": examples, "model_run": model_run, "evaluation": evaluation}
        super().__init__(
            PusherSpec(  # type: ignore[no-untyped-call] # of TFX
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                config=config.model_dump_json(),
                destination=destination,
                run_config=run_config,
                **{key: channel for key, channel in known.items() if channel},
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
