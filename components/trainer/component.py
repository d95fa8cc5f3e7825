"""The Trainer component: validated examples in, a servable model and the record of its training out."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import channel, component_spec, standard_artifacts

from components.artifacts import DataVerdict
from components.trainer import executor
from components.trainer.config import TrainerConfig


class TrainerSpec(component_spec.ComponentSpec):
    """What goes in and out of the Trainer."""

    PARAMETERS = {  # noqa: RUF012 - TFX's form
        "trainer_config": component_spec.ExecutionParameter(type=str),
        "checkpoint_base": component_spec.ExecutionParameter(type=str),
        "steps": component_spec.ExecutionParameter(type=int, optional=True),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "verdict": component_spec.ChannelParameter(type=DataVerdict),
    }
    OUTPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Trainer(base_component.BaseComponent):
    """Trains the conditional GAN of a recipe under a tf.distribute strategy.

    Args:
        examples: photographs with the splits `train` and `eval`.
        verdict: the DataGate's; asked for so that nothing is trained on data that was refused.
        config: the recipe.
        checkpoint_base: a folder on the machine that trains, outside of the artifacts, which a run that dies loses;
            "" keeps no checkpoints.
        steps: how long, where a run has its own say; None leaves it to `config.train.steps`.
    """

    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel[Any],
        verdict: types.BaseChannel[Any],
        config: TrainerConfig,
        checkpoint_base: str = "",
        steps: int | RuntimeParameter | None = None,
    ):
        super().__init__(
            TrainerSpec(  # type: ignore[no-untyped-call] # of TFX
                trainer_config=config.model_dump_json(),
                checkpoint_base=checkpoint_base,
                steps=steps,
                examples=examples,
                verdict=verdict,
                model=channel.Channel(type=standard_artifacts.Model),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
