"""How large a photograph may be."""

MAX_PIXELS = 200_000_000

MAX_PAGES = 4096
"""Of one file, with its reduced copies."""
