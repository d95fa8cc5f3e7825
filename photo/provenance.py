"""`Provenance`: which model found the colours of a photograph, and when."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from photo.version import __version__

# IPTC's word for a picture to which a trained algorithm has added: a photograph with colours of a model.
MACHINE_COLORED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_LONGEST_FINGERPRINT = 64


@dataclass(frozen=True)
class Provenance:
    """Where the colours of a photograph come from; its file says so.

    Attributes:
        model_fingerprint: what the model says it is; "" where nobody knows.
        colored_at: when the colours were found, UTC, in whole seconds; None where nobody knows.
    """

    model_fingerprint: str = ""
    colored_at: datetime | None = None

    @property
    def software(self) -> str:
        """How files name who coloured them: "Tintype VERSION, model FINGERPRINT"."""
        # A server may say anything; this stands in files of every kind.
        fingerprint = re.sub(r"[^!-~]", "", self.model_fingerprint)[:_LONGEST_FINGERPRINT]
        model = f", model {fingerprint}" if fingerprint else ""
        return f"Tintype {__version__}{model}"


def provenance_now(model_fingerprint: str) -> Provenance:
    """Return the provenance of colours that a model has found this moment."""
    return Provenance(model_fingerprint, datetime.now(UTC).replace(microsecond=0))
