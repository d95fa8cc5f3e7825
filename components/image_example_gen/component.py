"""ImageExampleGen: photographs of a folder or archive become the Examples that the rest of the pipeline reads."""

from pathlib import Path

from google.protobuf import any_pb2, wrappers_pb2
from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import example_gen_pb2, range_config_pb2

from components.image_example_gen.config import NOT_OF_INGESTION, DataConfig
from components.image_example_gen.driver import Driver
from components.image_example_gen.executor import Executor

# What every Example must look like; for ImportSchemaGen, and for the `schema` of StatisticsGen, which then knows that
# `image/encoded` holds pictures and keeps no table of its values.
SCHEMA_FILE = str(Path(__file__).with_name("schema.pbtxt"))


class ImageExampleGen(component.FileBasedExampleGen):
    """Takes photographs in.

    Outputs `examples`, an Examples artifact with the splits train, eval and test. Beside the splits lie `report.jsonl`,
    a line for each file that was left out, and `summary.json` (see `summary.IngestionSummary`).
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        input_base: str | RuntimeParameter,
        config: DataConfig | None = None,
        *,
        pattern: str = "*",
        range_config: range_config_pb2.RangeConfig | None = None,
    ) -> None:
        """Describe the step.

        Args:
            input_base: a folder (taken with all below it), a .zip, .tar, .tar.gz or .tgz; a path, or a URL of a
                filesystem that Beam knows. Several, a line each.
            config: sizes, thresholds and shares of the splits.
            pattern: which part of `input_base`: a path that may end in "/*" and hold {SPAN} (or {YYYY}, {MM}, {DD})
                and {VERSION}, as in "day-{SPAN}/*" or "{SPAN}.zip"; the latest is taken.
            range_config: another span than the latest.
        """
        config = config or DataConfig()
        message = wrappers_pb2.StringValue(value=config.model_dump_json(exclude=NOT_OF_INGESTION))
        packed = any_pb2.Any()
        packed.Pack(message)
        shares = config.splits.model_dump()
        split_config = example_gen_pb2.SplitConfig(
            splits=[example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=share) for name, share in shares.items()]
        )
        super().__init__(
            input_base=input_base,  # type: ignore[arg-type] # a parameter of the run may stand for a string
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="photographs", pattern=pattern)]
            ),
            output_config=example_gen_pb2.Output(split_config=split_config),
            custom_config=example_gen_pb2.CustomConfig(custom_config=packed),
            range_config=range_config,
        )
