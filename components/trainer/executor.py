"""The Trainer's work inside a pipeline: hands TFX's artifacts to `training.train`."""

import hashlib
import json
import os
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.trainer.config import TrainerConfig
from components.trainer.decoded_photos import content_digest, example_files
from components.trainer.training import train
from photo.errors import TintypeError


class Executor(base_executor.BaseExecutor):
    """Trains on the split `train`, watches `eval`, leaves a SavedModel, TensorBoard's events, curves and pictures."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Train one model.

        Args:
            input_dict: `examples`, `verdict`.
            output_dict: `model` (SavedModel under Format-Serving), `model_run` (events, curves.png, training.json).
            exec_properties: `trainer_config`, a TrainerConfig as JSON; `checkpoint_base`, a folder on this machine, in
                which each config and content of the training examples has checkpoints of its own (the same
                photographs may have been ingested again since), or ""; `steps`, if the run has its own say, instead
                of the config's.
        """
        config = _trainer_config(exec_properties)
        examples_uri = artifact_utils.get_single_uri(input_dict["examples"])
        train_files = example_files(examples_uri, "train")
        checkpoint_folder = data_fingerprint = None
        if base := exec_properties.get("checkpoint_base"):
            data_fingerprint = content_digest(train_files)
            run = hashlib.sha256(f"{config.model_dump_json()} {data_fingerprint}".encode()).hexdigest()[:16]
            checkpoint_folder = os.path.join(base, f"{config.recipe}-{run}")
        summary = train(
            config,
            train_files,
            example_files(examples_uri, "eval"),
            model_folder=path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["model"])),
            run_folder=artifact_utils.get_single_uri(output_dict["model_run"]),
            checkpoint_folder=checkpoint_folder,
            data_fingerprint=data_fingerprint,
        )
        logging.info("%s: %d steps in %.0f s (%s)", config.recipe, summary.steps, summary.seconds, summary.stopped)


def _trainer_config(exec_properties: dict[str, Any]) -> TrainerConfig:
    fields = json.loads(exec_properties["trainer_config"])
    if (steps := exec_properties.get("steps")) is not None:
        if steps < 1:
            raise TintypeError(f"steps must be at least 1, got {steps}")
        fields["train"]["steps"] = steps
    return TrainerConfig.model_validate(fields)
