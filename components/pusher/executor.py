"""The work of the Pusher: a model that every gate has blessed goes to where servers look for it."""

import json
import os
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.pusher.config import PushConfig
from components.pusher.publish import publish
from components.pusher.run_record import run_record
from photo.errors import TintypeError

# The names TFX's own Pusher and its tools use on the PushedModel artifact.
PUSHED = "pushed"
PUSHED_DESTINATION = "pushed_destination"
PUSHED_VERSION = "pushed_version"
REPORT_FILE = "pushed.json"


class Executor(base_executor.BaseExecutor):
    """Pushes the model if its blessings say so, and says in the artifact what it did."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Push or leave everything as it is.

        The PushedModel artifact gets TFX's custom properties `pushed` (1 or 0), `pushed_destination` and
        `pushed_version`, and a `pushed.json` with the same and the reasons; the model itself is not copied into it,
        since the Model artifact holds it.

        Args:
            input_dict: `model` (Model), `model_blessing` (ModelBlessing), `infra_blessing` (InfraBlessing);
                and for the version's record, where there are: `examples`, `model_run` (ModelRun), `evaluation`.
            output_dict: `pushed_model` (PushedModel).
            exec_properties: `config`, the JSON of a PushConfig; `destination`, the serving base path;
                `run_config`, the run's as JSON, for the record.

        Raises:
            TintypeError: the destination cannot be written.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = PushConfig.model_validate_json(exec_properties["config"])
        destination = exec_properties.get("destination") or config.destination
        if not destination:
            raise TintypeError("the Pusher needs a destination, the serving base path; got none")
        model = artifact_utils.get_single_instance(input_dict["model"])
        pushed_model = artifact_utils.get_single_instance(output_dict["pushed_model"])

        reasons = [
            f"{key} in {blessing.uri} is not blessed"
            for key in ("model_blessing", "infra_blessing")
            for blessing in [artifact_utils.get_single_instance(input_dict[key])]
            if blessing.get_int_custom_property("blessed") != 1
        ]
        report: dict[str, Any] = {"pushed": not reasons, "reasons": reasons}
        if reasons:
            logging.warning("Not pushed to %s: %s", destination, "; ".join(reasons))
            pushed_model.set_int_custom_property(PUSHED, 0)
        else:
            published = publish(
                path_utils.serving_model_path(model.uri),
                destination,
                keep_versions=config.keep_versions,
                record=run_record(input_dict, self._run(), exec_properties.get("run_config")),
            )
            logging.info("Pushed version %d to %s", published.version, published.path)
            if published.removed:
                logging.info("Removed the old versions %s", published.removed)
            pushed_model.set_int_custom_property(PUSHED, 1)
            pushed_model.set_string_custom_property(PUSHED_DESTINATION, published.path)
            pushed_model.set_string_custom_property(PUSHED_VERSION, str(published.version))
            report |= {"destination": published.path, "version": published.version, "removed": published.removed}
        io_utils.write_string_file(os.path.join(pushed_model.uri, REPORT_FILE), json.dumps(report, indent=2))

    def _run(self) -> dict[str, Any]:
        """Name the pipeline and its run, as ML Metadata has them; outside a pipeline there is neither."""
        context = self._context
        if context is None or context.pipeline_info is None:
            return {}
        return {"pipeline": context.pipeline_info.id, "id": context.pipeline_run_id}
