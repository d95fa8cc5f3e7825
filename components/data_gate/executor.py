"""Stops the pipeline when ExampleValidator found anomalies, which it only records, or a split holds too little."""

import json
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.types.artifact import Artifact

from components.image_example_gen.summary import read_summary
from photo.errors import REFUSED_BY_GATE, TintypeError

VERDICT_KEY = "verdict"
MIN_PHOTOS_KEY = "min_photos"
VERDICT_NAME = "verdict.json"


class DataStopped(TintypeError):  # noqa: N818 - it is the verdict, not a fault
    """The data may not be trained on; the message names every split and feature concerned."""

    exit_code = REFUSED_BY_GATE


class Executor(base_executor.BaseExecutor):
    """Reads what ExampleValidator wrote and what ImageExampleGen counted."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write the verdict.

        Raises:
            DataStopped: when there is any anomaly, or a split has fewer photographs than it must.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
        anomalies = artifact_utils.get_single_instance(input_dict[standard_component_specs.ANOMALIES_KEY])
        counts = read_summary(examples.uri).splits
        problems = [
            f"split {split}: {counts.get(split, 0)} photographs, at least {least} are needed"
            for split, least in json.loads(exec_properties[MIN_PHOTOS_KEY]).items()
            if counts.get(split, 0) < least
        ]
        for split in artifact_utils.decode_split_names(anomalies.split_names):
            if counts.get(split, 0) > 0:  # of an empty split, only the number above says something
                problems += describe_anomalies(split, _read_anomalies(anomalies, split))
        if problems:
            raise DataStopped("the data does not pass:" + "".join(f"\n  {problem}" for problem in problems))

        verdict = artifact_utils.get_single_instance(output_dict[VERDICT_KEY])
        path = f"{verdict.uri}/{VERDICT_NAME}"
        fileio.makedirs(verdict.uri)
        with fileio.open(f"{path}.part", "w") as stream:
            json.dump({"passed": True, "splits": counts}, stream, indent=2)
        fileio.rename(f"{path}.part", path, overwrite=True)
        logging.info("the data passes: %s", counts)


def describe_anomalies(split: str, anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Return a line for each anomaly of a split: where, what, and why."""
    problems = [
        f"split {split}, feature {feature}: {info.description or info.short_description or 'anomalous'}"
        for feature, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        info = anomalies.dataset_anomaly_info
        problems.append(f"split {split}, the whole: {info.description or info.short_description or 'anomalous'}")
    if anomalies.data_missing:
        problems.append(f"split {split}: there is no data")
    for skew in anomalies.drift_skew_info:
        path = "/".join(skew.path.step)
        for measurement in (*skew.drift_measurements, *skew.skew_measurements):
            if measurement.value > measurement.threshold:
                problems.append(
                    f"split {split}, feature {path}: drift or skew of {measurement.value:g} "
                    f"is over {measurement.threshold:g}"
                )
    return problems


def _read_anomalies(artifact: Any, split: str) -> anomalies_pb2.Anomalies:
    path = f"{artifact_utils.get_split_uri([artifact], split)}/{DEFAULT_FILE_NAME}"
    try:
        with fileio.open(path, "rb") as stream:
            return anomalies_pb2.Anomalies.FromString(stream.read())
    except Exception as error:
        raise DataStopped(f"the anomalies of split {split} cannot be read at {path}: {error}") from error
