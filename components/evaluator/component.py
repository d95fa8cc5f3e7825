"""The Evaluator's place in the pipeline: what it takes, what it gives."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import component_spec, standard_artifacts

from components.evaluator.config import EvaluateConfig
from components.evaluator.executor import Executor


class EvaluatorSpec(component_spec.ComponentSpec):
    """Examples and a candidate in, its metrics and a blessing out."""

    PARAMETERS = {  # noqa: RUF012 - TFX's form
        "config": component_spec.ExecutionParameter(type=str),
        "served_base_path": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {  # noqa: RUF012
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """Measures a candidate on photographs it was not trained on, and blesses it if it is good enough.

    TFX's own Evaluator measures labels with TensorFlow Model Analysis; it knows no metric of pictures.

    Args:
        examples: Examples with the split that `config` names.
        model: the Trainer's Model; the SavedModel in it is measured through its serving signature.
        config: the split and the thresholds.
        served_base_path: where the Pusher pushes to. The newest version there is measured too, and the candidate must
            not be worse; "" compares with the uncoloured photographs only.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel[Any],
        model: types.BaseChannel[Any],
        config: EvaluateConfig,
        served_base_path: str | RuntimeParameter = "",
    ):
        super().__init__(
            EvaluatorSpec(  # type: ignore[no-untyped-call] # of TFX
                examples=examples,
                model=model,
                config=config.model_dump_json(),
                served_base_path=served_base_path,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
