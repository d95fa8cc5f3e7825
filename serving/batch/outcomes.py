"""What became of a photograph: one small tuple, which the report, the manifest and the records of a job are made of."""

import json
from typing import NamedTuple

from photo.errors import PhotoError, fault_of_photo

DONE, SKIPPED, FAILED = "done", "skipped", "failed"

PASSED_OVER = "passed_over"
"""Status of a photograph that is left as it is, and of all files of an input that are no photographs, together."""


class Outcome(NamedTuple):
    """What became of one photograph.

    Attributes:
        path: where it lies; of a member of an archive the archive's path, "!" and its name in the archive.
        status: "done", "skipped" (an earlier run did it), "failed", or "passed_over" of the files beside photographs.
        output: its colouring, below the job's output; "" when it failed.
        reason: of a failed one, a word to count by: a reason of `PhotoError`, or `not_found`, `damaged_archive`,
            `refused`, `unwritable`.
        detail: the reason in words.
        key: the output's name before photographs of one name were told apart, in lower case.
        settings: with which it was written, as `OutputSettings.digest` puts them.
        width: in pixels, of the upright photograph.
        height: in pixels.
        input_bytes: size of the photograph's file.
        output_bytes: size of its colouring's file.
        input_sha256: of the photograph's file, hexadecimal.
        output_sha256: of its colouring's file, hexadecimal.
        model_version: number of the version that coloured it; "" when the model has none.
        model_fingerprint: what that version says it is.
        milliseconds: of one worker, from opening the photograph to its colouring's last byte; its share of a batch.
        finished: when, in seconds since 1970.
        notes: what should be known of how the file was read and of what its colouring does not hold; "; " between two.
        input_stamp: as `FileEntry.stamp`, looked at before the file was read.
    """

    path: str
    status: str
    output: str = ""
    reason: str = ""
    detail: str = ""
    key: str = ""
    settings: str = ""
    width: int = 0
    height: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    input_sha256: str = ""
    output_sha256: str = ""
    model_version: str = ""
    model_fingerprint: str = ""
    milliseconds: float = 0.0
    finished: float = 0.0
    notes: str = ""
    input_stamp: str = ""

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self._asdict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Outcome | None":
        """Return what `to_json` wrote; None for a line that no version of this program wrote."""
        try:
            fields = {"notes": "", "input_stamp": "", **json.loads(line)}  # records of before there were any hold
            outcome = cls(**{name: fields[name] for name in cls._fields})
        except (ValueError, KeyError, TypeError):
            return None
        kinds = cls.__annotations__
        return outcome if all(isinstance(getattr(outcome, name), kinds[name]) for name in cls._fields) else None


def failed(path: str, reason: str, detail: str) -> Outcome:
    """Return the outcome of a photograph that cannot be used."""
    return Outcome(path, FAILED, reason=reason, detail=detail)


def failed_by(path: str, error: Exception, reason: str) -> Outcome:
    """Return the outcome of a photograph whose work raised `error`; `reason` where the error bears none itself."""
    fault = fault_of_photo(error)
    if isinstance(fault, PhotoError) and fault.reason == "in_color":  # as it was asked for
        return Outcome(path, PASSED_OVER, detail=fault.detail)
    return failed(path, fault.reason if isinstance(fault, PhotoError) else reason, str(fault))
