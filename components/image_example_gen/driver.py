"""The driver of ImageExampleGen: a fingerprint over the whole tree, so that any new photograph makes the step run."""

from collections.abc import Iterable

from tfx.components.example_gen import driver, input_processor
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.utils import proto_utils

from components.image_example_gen.executor import input_location
from components.image_example_gen.listing import check_locations, fingerprint_locations
from components.image_example_gen.locations import split_locations
from photo.errors import DataError


class PhotoInputProcessor(input_processor.FileBasedInputProcessor):
    """Finds span and version as TFX does, and fingerprints every file below, not only the first level."""

    def resolve_span_and_version(self) -> tuple[int, int | None]:
        """Return span and version; (0, None) for a pattern without them.

        Raises:
            DataError: when a local folder or archive is not there, or several are given with a span.
            ValueError: when no folder matches the pattern's span.
        """
        check_locations(self._input_base_uri)
        if self._is_match_span or self._is_match_date:
            if len(split_locations(self._input_base_uri)) > 1:
                raise DataError("a pattern with {SPAN} or a date takes one folder, not several")
            return super().resolve_span_and_version()
        return 0, None  # TFX would look into the folder, or into the archive as if it were one

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """Return a line that changes with any file's name, size or time of change."""
        splits = [
            example_gen_pb2.Input.Split(
                name=split.name, pattern=self.get_pattern_for_span_version(split.pattern, span, version)
            )
            for split in self._splits
        ]
        location = input_location(self._input_base_uri, proto_utils.proto_to_json(example_gen_pb2.Input(splits=splits)))
        return f"split:{splits[0].name},{fingerprint_locations(location)}"


class Driver(driver.FileBasedDriver):
    """TFX's driver of file-based ExampleGens with the processor above."""

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """Return the processor for this input."""
        assert input_base_uri
        return PhotoInputProcessor(input_base_uri, splits, range_config)
