"""The work of ImageExampleGen inside a pipeline: hands TFX's artifacts to `ingest.IngestPhotos`."""

import os
from typing import Any

from absl import logging
from google.protobuf import wrappers_pb2
from tfx.components.example_gen import write_split
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingestion import SPLITS, IngestPhotos, check_summary
from components.image_example_gen.listing import check_locations
from components.image_example_gen.locations import join_locations, split_locations
from components.image_example_gen.summary import read_summary
from photo.errors import DataError


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs `IngestPhotos` over the input and stops the run when too little of it can be used."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, list[Any]], output_dict: dict[str, list[Any]], exec_properties: dict[str, Any]
    ) -> None:
        """Write the splits, report.jsonl and summary.json under the Examples artifact.

        Raises:
            DataError: when there are no photographs, an archive is damaged, none could be kept, or more than
                `max_unreadable_share` of the files are unreadable; the message names the first ones.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        config = data_config(exec_properties)
        location = input_location(
            exec_properties[standard_component_specs.INPUT_BASE_KEY],
            exec_properties[standard_component_specs.INPUT_CONFIG_KEY],
        )
        check_locations(location)
        with self._make_beam_pipeline() as pipeline:
            pipeline | "IngestPhotos" >> IngestPhotos(location, examples.uri, config)
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, write_split.to_file_format_str(example_gen_pb2.FORMAT_TFRECORDS_GZIP))
        summary = read_summary(examples.uri)
        logging.info("%d files read, %d photographs kept, left out: %s", summary.read, summary.kept, summary.left_out)
        check_summary(summary, location, config)


def data_config(exec_properties: dict[str, Any]) -> DataConfig:
    """Return the configuration that the component put into its execution properties."""
    custom = example_gen_pb2.CustomConfig()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY], custom)
    value = wrappers_pb2.StringValue()
    custom.custom_config.Unpack(value)
    return DataConfig.model_validate_json(value.value)


def input_location(input_base: str, input_config: str) -> str:
    """Return what the input's one pattern, its span and version filled in, stands for: a folder or archive.

    Of several places, a line each, it is the same below each. Everything below is taken, so a pattern is a path that
    may end in "/*": "*" is the whole of `input_base`.

    Raises:
        DataError: for a pattern with other wildcards.
    """
    parsed = example_gen_pb2.Input()
    proto_utils.json_to_proto(input_config, parsed)
    pattern = parsed.splits[0].pattern
    path = pattern.rstrip("*").rstrip("/")
    if any(character in path for character in "*?[{"):
        raise DataError(
            f"a pattern is a path that may end in '/*', with {{SPAN}} and {{VERSION}}; received {pattern!r}"
        )
    return (
        join_locations(os.path.join(location, path) for location in split_locations(input_base)) if path else input_base
    )
