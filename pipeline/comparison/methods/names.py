"""The methods of others that a comparison can show beside its entries: they learn nothing beforehand."""

WELSH, LEVIN = "welsh", "levin"

# Of a photograph's true colours; a person would draw them.
LEVIN_HINTS = 10

METHODS = {
    WELSH: "Welsh 2002",
    LEVIN: f"Levin 2004, {LEVIN_HINTS} hints",
}
"""Their labels in tables and pictures."""
