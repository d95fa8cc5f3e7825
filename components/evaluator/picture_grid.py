"""Draws photographs side by side: gray, as the model colours them, and as they were."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

HEADINGS = ("gray", "coloured", "true")
_GAP = 4
_HEADING_HEIGHT = 20
_SMALLEST_CELL = 64


def draw_grid(rows: Sequence[Sequence[NDArray[np.uint8]]], headings: Sequence[str] = HEADINGS) -> Image.Image:
    """Draw one row per photo under the headings.

    Args:
        rows: at least one; in each, a square uint8 [size, size, 3] for each heading. Small squares are enlarged, pixels
            kept square and sharp.
        headings: of the columns.
    """
    size = rows[0][0].shape[0]
    enlarge = -(-_SMALLEST_CELL // size)
    cell = size * enlarge
    step = cell + _GAP
    grid = Image.new("RGB", (len(headings) * step + _GAP, _HEADING_HEIGHT + len(rows) * step), "white")
    draw = ImageDraw.Draw(grid)
    font = ImageFont.load_default(size=12)
    for column, heading in enumerate(headings):
        draw.text((_GAP + column * step + cell // 2, _HEADING_HEIGHT // 2), heading, "black", font, anchor="mm")
        for row, squares in enumerate(rows):
            picture = Image.fromarray(squares[column]).resize((cell, cell), Image.Resampling.NEAREST)
            grid.paste(picture, (_GAP + column * step, _HEADING_HEIGHT + row * step))
    return grid
