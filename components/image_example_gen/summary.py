"""The ingestion's summary: how many photographs were read, kept and left out, beside the Examples."""

from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ConfigDict, ValidationError

from photo.errors import DataError

SUMMARY_NAME = "summary.json"


class IngestionSummary(BaseModel):
    """Counts of files.

    Attributes:
        read: every photograph that was looked at; `kept` plus the photographs that are left out.
        kept: photographs stored, over all splits.
        splits: photographs by split.
        left_out: photographs by reason; and lines of the report on archives that are not opened and on other files.
        first_unreadable: path, reason and detail of a few files that could not be read.
    """

    model_config = ConfigDict(frozen=True)

    read: int
    kept: int
    splits: dict[str, int]
    left_out: dict[str, int]
    first_unreadable: list[dict[str, str]]


def read_summary(examples_uri: str) -> IngestionSummary:
    """Read the summary of an Examples artifact that ImageExampleGen made.

    Raises:
        DataError: when there is none, or it is not one.
    """
    path = FileSystems.join(examples_uri, SUMMARY_NAME)
    try:
        with FileSystems.open(path) as stream:
            return IngestionSummary.model_validate_json(stream.read())
    except (OSError, ValidationError) as error:
        raise DataError(f"no summary of the photographs at {path}: {error}") from error


def check_trainable(summary: IngestionSummary, location: str) -> None:
    """Raise a DataError when there is nothing to learn from or nothing to measure on."""
    missing = [split for split in ("train", "eval") if not summary.splits.get(split)]
    if missing:
        raise DataError(
            f"too few photographs in {location}: of {summary.kept} that could be kept none fell to the split "
            f"{' and '.join(missing)}"
        )
