"""What a batch job is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from photo.limits import MAX_PIXELS
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
        root: outputs mirror the inputs' places below this folder; None: below each input.
        max_bad_share: a larger share of failed photographs makes the job a failed one.
        max_pixels: larger photographs fail.
        sample: photographs on the contact sheet; 0 makes none.
        manifest_shards: files the manifest is split into.
        reports_folder: where report, manifest, contact sheet and summary go; None: into the output.
    """

    inputs: Sequence[str]
    output: str
    handler: ColorHandler
    settings: OutputSettings = OutputSettings()  # noqa: RUF009 - frozen
    root: str | None = None
    max_bad_share: float = 0.1
    max_pixels: int = MAX_PIXELS
    sample: int = 48
    manifest_shards: int = 1
    reports_folder: str | None = None

    def report_location(self, name: str) -> str:
        """Return where the report, or another such file, is written."""
        return join(self.reports_folder or self.output, name)
