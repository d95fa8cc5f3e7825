"""What a batch job is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.batch.job_options import JobOptions
from serving.batch.model_handler import ColorHandler
from serving.batch.output_settings import OutputSettings
from serving.batch.outputs import join


@dataclass(frozen=True)
class BatchJob:
    """What to colour, and into what.

    Attributes:
        inputs: folders, globs, archives, lists, photographs.
        output: a folder, of this machine or of a Beam filesystem.
        handler: the model.
        settings: names and encoding of the outputs, strength of the colour, and whether a tint is kept.
        options: how it goes about it.
    """

    inputs: Sequence[str]
    output: str
    handler: ColorHandler
    settings: OutputSettings = OutputSettings()  # noqa: RUF009 - frozen
    options: JobOptions = JobOptions()  # noqa: RUF009 - frozen

    def report_location(self, name: str) -> str:
        """Return where the report, or another such file, is written."""
        return join(self.options.reports_folder or self.output, name)
