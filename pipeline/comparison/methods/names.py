"""The methods of others that a comparison can show beside its entries: they learn nothing beforehand."""

from enum import StrEnum

# Of a photograph's true colours; a person would draw them.
LEVIN_HINTS = 10


class Method(StrEnum):
    """What `tintype compare --method`, and the `methods` of a question, may be."""

    WELSH = "welsh"
    LEVIN = "levin"

    @property
    def label(self) -> str:
        """In tables and pictures."""
        return "Welsh 2002" if self is Method.WELSH else f"Levin 2004, {LEVIN_HINTS} hints"
