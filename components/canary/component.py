"""The Canary's place in the pipeline: what it takes, what it gives."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.canary.config import CanaryConfig
from components.canary.executor import Executor


class CanarySpec(component_spec.ComponentSpec):
    """A candidate and photographs in, a blessing of its servability out."""

    PARAMETERS = {"config": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012 - TFX's form
    INPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
    }


class Canary(base_component.BaseComponent):
    """Starts a server with the candidate, sends it photographs through the client, and blesses it if all goes well.

    TFX's own InfraValidator needs Docker or Kubernetes; this one needs nothing but the embedded server.

    Args:
        model: the Trainer's Model.
        examples: Examples with a split `eval`.
        config: how many requests, and how slow one may be.
        model_blessing: the Evaluator's ModelBlessing; a candidate that it does not bless is not tried.
    """

    SPEC_CLASS = CanarySpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel[Any],
        examples: types.BaseChannel[Any],
        config: CanaryConfig,
        model_blessing: types.BaseChannel[Any] | None = None,
    ):
        super().__init__(
            CanarySpec(  # type: ignore[no-untyped-call] # of TFX
                model=model,
                examples=examples,
                model_blessing=model_blessing,
                config=config.model_dump_json(),
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
