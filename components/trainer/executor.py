"""The Trainer's work inside a pipeline: hands TFX's artifacts to `training.train`."""

from absl import logging
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.trainer.config import TrainerConfig
from components.trainer.input_pipeline import example_files
from components.trainer.training import train


class Executor(base_executor.BaseExecutor):
    """Trains on the split `train`, watches `eval`, leaves a SavedModel, TensorBoard's events, curves and pictures."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:  # noqa: N802
        """Train one model.

        Args:
            input_dict: `examples`, `verdict`.
            output_dict: `model` (SavedModel under Format-Serving), `model_run` (events, curves.png, training.json).
            exec_properties: `trainer_config`, a TrainerConfig as JSON.
        """
        config = TrainerConfig.model_validate_json(exec_properties["trainer_config"])
        examples_uri = artifact_utils.get_single_uri(input_dict["examples"])
        summary = train(
            config,
            example_files(examples_uri, "train"),
            example_files(examples_uri, "eval"),
            model_folder=path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["model"])),
            run_folder=artifact_utils.get_single_uri(output_dict["model_run"]),
        )
        logging.info("%s: %d steps in %.0f s (%s)", config.recipe, summary.steps, summary.seconds, summary.stopped)
