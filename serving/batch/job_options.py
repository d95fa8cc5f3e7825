"""How a batch job goes about its photographs and what it writes about itself; quick to import, for the command line."""

from dataclasses import dataclass, field

from photo.limits import MAX_PIXELS
from serving.client.options import ConnectionOptions, Retry

DEFAULT_BATCH_SIZE = 8
DEFAULT_CONCURRENCY = 2

# A server that restarts, or scales up, has this long to answer.
PATIENT_CONNECTION = ConnectionOptions(timeout=300.0, retry=Retry(first_pause=0.2, longest_pause=15.0))


@dataclass(frozen=True)
class JobOptions:
    """How a batch job goes about its photographs, and what it writes about itself.

    Attributes:
        hints: a file with the hints of all photographs, as `photo.hints.HintsByPhoto` reads it; those of
            `PHOTO.hints.json` beside a photograph count where it has none.
        verify: read every photograph to see whether it changed, instead of looking at its file's size and date.
        root: outputs mirror the inputs' places below this folder; None: below each input.
        sample: photographs on the contact sheet; 0 makes none.
        manifest_shards: files the manifest is split into.
        max_bad_share: a larger share of failed photographs makes the job a failed one.
        max_pixels: larger photographs fail.
        reports_folder: where report, manifest, contact sheet and summary go; None: into the output.
    """

    hints: str | None = field(
        default=None,
        metadata={
            "help": "Colours of places, as JSON of file names with lists of {x, y, color}. "
            "[default: PHOTO.hints.json beside a PHOTO]",
            "metavar": "FILE",
        },
    )
    verify: bool = field(
        default=False,
        metadata={
            "help": "Read again what an earlier run coloured, and compare the content; by default the size and date of "
            "each file tell whether it changed.",
            "panel": "Run",
        },
    )
    root: str | None = field(
        default=None,
        metadata={"help": "Mirror the folders below this one. [default: each input]", "metavar": "DIR"},
    )
    sample: int = field(default=48, metadata={"help": "Photographs on the contact sheet.", "min": 0, "max": 1000})
    manifest_shards: int = field(default=1, metadata={"help": "Files the manifest is split into.", "min": 1})
    max_bad_share: float = field(
        default=0.1,
        metadata={"help": "Fail when a larger share cannot be coloured.", "min": 0.0, "max": 1.0, "panel": "Run"},
    )
    max_pixels: int = MAX_PIXELS
    reports_folder: str | None = None
