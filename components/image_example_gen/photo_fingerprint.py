"""PhotoFingerprint: what a cluster's cache has to know of the photographs before it may skip taking them in.

On one machine the driver of ImageExampleGen looks at the photographs before every run. Kubeflow Pipelines runs no
drivers of components: there, this step does so, and its answer is a parameter of ImageExampleGen.
"""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import artifact_utils, component_spec, standard_artifacts, standard_component_specs

from serving.batch.file_systems import check_location, fingerprint

FINGERPRINT_KEY = "fingerprint"


class Executor(base_executor.BaseExecutor):
    """Looks at names, sizes and times of change, not into the files."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, list[Any]], output_dict: dict[str, list[Any]], exec_properties: dict[str, Any]
    ) -> None:
        """Write the fingerprint.

        Args:
            input_dict: nothing.
            output_dict: `fingerprint` (String): a line that changes with any file below `input_base`.
            exec_properties: `input_base`, a folder or archive.

        Raises:
            DataError: it is not there.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        location = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        check_location(location)
        artifact_utils.get_single_instance(output_dict[FINGERPRINT_KEY]).write(fingerprint(location))


class PhotoFingerprintSpec(component_spec.ComponentSpec):
    """Where the photographs are goes in, a line comes out."""

    PARAMETERS = {  # noqa: RUF012 - TFX's form
        standard_component_specs.INPUT_BASE_KEY: component_spec.ExecutionParameter(type=str)
    }
    INPUTS = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012 - TFX's form
        FINGERPRINT_KEY: component_spec.ChannelParameter(type=standard_artifacts.String)
    }


class PhotoFingerprint(base_component.BaseComponent):
    """Reads the fingerprint of the photographs in `input_base`; must not be cached itself."""

    SPEC_CLASS = PhotoFingerprintSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, input_base: str | RuntimeParameter) -> None:
        spec = PhotoFingerprintSpec(  # type: ignore[no-untyped-call]  # TFX's constructor has no types
            input_base=input_base, fingerprint=types.Channel(type=standard_artifacts.String)
        )
        super().__init__(spec)
