"""What a batch run skips: photographs that an earlier run has coloured as this one would."""

from dataclasses import dataclass

import numpy as np

from photo.coloring import Prepared
from photo.hints import Hint
from serving.batch.elements import Task
from serving.batch.model_handler import ColorHandler
from serving.batch.outcomes import SKIPPED, Outcome
from serving.batch.output_settings import OutputSettings
from serving.batch.outputs import join, size_of

# In CIE units of a*b*: a hundredth of an 8-bit step.
_FAINTEST_TINT = 0.001


@dataclass(frozen=True)
class Resume:
    """What tells a done photograph from one to do.

    Attributes:
        output: where an earlier run may have written.
        handler: gives the fingerprint that a record must bear.
        verify: read every photograph; otherwise one whose file has the size and time of change that were recorded is
            taken for unchanged.
    """

    output: str
    handler: ColorHandler
    verify: bool = False

    def record_of(
        self, task: Task, sha256: str | None, settings: OutputSettings, hints: tuple[Hint, ...] = ()
    ) -> Outcome | None:
        """Return the record of the output that lies there, if it is of this content, model, hints and settings.

        Whether a tint is kept may differ: `is_as_wanted` says whether that matters.

        Args:
            task: the photograph.
            sha256: of its file; None where it was not read: then the file's stamp tells its content.
            settings: of this run.
            hints: of the photograph.
        """
        record = task.record
        if record is None:
            return None
        stamp = "" if self.verify else task.entry.stamp
        is_of_task = (
            (record.input_sha256 == sha256 if sha256 is not None else "" != stamp == record.input_stamp)
            and record.settings
            in settings.digests_as_good(task.output, hints) | {settings.digest(task.output, hints=hints)}
            and record.output_bytes == size_of(join(self.output, task.output))
            and record.model_fingerprint == self.handler.identity().description.fingerprint
        )
        return record if is_of_task else None


def is_as_wanted(record: Outcome, settings: OutputSettings, hints: tuple[Hint, ...] = ()) -> bool:
    """Return whether a recorded output has the pixels that these settings would give, tinted photograph or not."""
    return record.settings in settings.digests_as_good(record.output, hints)


def has_tint(prepared: Prepared) -> bool:
    """Return whether a tint that shows was measured; a gray photograph's is what rounding left, 0.00001 or so."""
    return prepared.tint is not None and bool(np.abs(prepared.tint.ab).max() > _FAINTEST_TINT)


def skipped(record: Outcome, task: Task) -> Outcome:
    """Return the outcome of a photograph that an earlier run has coloured."""
    return record._replace(status=SKIPPED, path=task.shown_path)
