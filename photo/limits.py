"""How large a photograph may be."""

MAX_PIXELS = 200_000_000
