"""PhotoSchema: ImportSchemaGen that finds the schema in the installed package, wherever a step runs."""

from pathlib import Path
from typing import Any

from tfx.components.schema_gen.import_schema_gen import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs

PACKAGES = Path(__file__).parents[2]


class Executor(executor.Executor):
    """TFX's own, for paths that may be relative to the folder that the packages lie in."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, list[Any]], output_dict: dict[str, list[Any]], exec_properties: dict[str, Any]
    ) -> None:
        """Copy the schema into the Schema artifact.

        Args:
            input_dict: nothing.
            output_dict: `schema` (Schema).
            exec_properties: `schema_file`, an absolute path or one below the packages' folder.
        """
        key = standard_component_specs.SCHEMA_FILE_KEY
        super().Do(input_dict, output_dict, {**exec_properties, key: str(PACKAGES / exec_properties[key])})


class PhotoSchema(component.ImportSchemaGen):
    """Takes `schema_file`, an absolute path or one below the packages' folder."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
