"""The pictures of a comparison: the grid of photographs and the curves."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from pipeline.comparison.figures import BASELINE_LABEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_GAP = 6
_SMALLEST_CELL = 128
_FONT_SIZE = 13
_LINE_HEIGHT = 17
# Under the curves: letters of a name in a line, of a line of names, and what a sample of a curve takes.
_NAME_LETTERS, _LEGEND_LETTERS, _HANDLE_LETTERS = 34, 165, 8

# What a history row may hold, and what it is called under a curve.
_LOSSES = {
    "generator_loss": "generator",
    "discriminator_loss": "discriminator",
    "adversarial_loss": "adversarial",
    "reconstruction_loss": "reconstruction",
}


def grid_columns(entries: Sequence[Mapping[str, Any]], out: Path) -> list[tuple[str, list[Path]]]:
    """Heading and files from top to bottom of each column: gray, one for each entry that is done, true."""
    done = [entry for entry in entries if entry["status"] == "done" and entry["pictures"]]
    if not done:
        return []

    def files(entry: Mapping[str, Any], name: str) -> list[Path]:
        return [out / entry["folder"] / row[name] for row in entry["pictures"]]

    return [
        (BASELINE_LABEL, files(done[0], "gray")),
        *((entry["label"], files(entry, "colored")) for entry in done),
        ("true", files(done[0], "true")),
    ]


def draw_grid(columns: Sequence[tuple[str, Sequence[Path]]]) -> bytes:
    """Draw the columns side by side under their headings, as a PNG. Small squares are enlarged, pixels kept sharp."""
    with Image.open(columns[0][1][0]) as first:
        side = first.width
    cell = side * -(-_SMALLEST_CELL // side)
    step = cell + _GAP
    font = ImageFont.load_default(size=_FONT_SIZE)
    headings = [textwrap.wrap(heading, max(8, int(cell / (_FONT_SIZE * 0.55)))) for heading, _ in columns]
    top = _GAP + _LINE_HEIGHT * max(map(len, headings)) + _GAP
    grid = Image.new("RGB", (len(columns) * step + _GAP, top + len(columns[0][1]) * step), "white")
    draw = ImageDraw.Draw(grid)
    for column, (lines, (_, files)) in enumerate(zip(headings, columns, strict=True)):
        left = _GAP + column * step
        for index, line in enumerate(lines):
            # The lines stand on the pictures, whatever their number.
            height = top - _GAP - _LINE_HEIGHT * (len(lines) - index) + _LINE_HEIGHT // 2
            draw.text((left + cell // 2, height), line, "black", font, anchor="mm")
        for row, file in enumerate(files):
            with Image.open(file) as picture:
                grid.paste(picture.resize((cell, cell), Image.Resampling.NEAREST), (left, top + row * step))
    png = io.BytesIO()
    grid.save(png, "PNG")
    return png.getvalue()


def draw_curves(entries: Sequence[Mapping[str, Any]], *, dark: bool = False) -> bytes:
    """Draw the held-out PSNR of all entries together, over minutes and over photographs, and each one's losses.

    Args:
        entries: those that are done, at least one.
        dark: light lines on a dark ground.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    names = [textwrap.fill(entry["label"], _NAME_LETTERS) for entry in entries]
    longest = max(len(line) for name in names for line in name.splitlines())
    names_across = max(1, min(len(names), _LEGEND_LETTERS // (longest + _HANDLE_LETTERS)))
    name_lines = -(-len(names) // names_across) * max(name.count("\n") + 1 for name in names)
    across = min(3, max(2, len(entries)))
    down = -(-len(entries) // across)
    with style.context("dark_background" if dark else "default"):
        overview, losses = 3.4 + 0.2 * name_lines, 2.7 * down
        figure = Figure(figsize=(11, overview + losses), layout="constrained")
        if dark:
            figure.set_facecolor("#16181c")
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[overview, losses])[:, 0]
        for part in (above, below):
            part.set_facecolor(figure.get_facecolor())
        _draw_gains(above, entries, names, names_across)
        panels = list(below.subplots(down, across, squeeze=False).flat)
        for entry, axes in zip(entries, panels, strict=False):
            _draw_losses(axes, entry)
        for axes in panels[len(entries) :]:
            axes.set_axis_off()
        for axes in figure.axes:
            axes.grid(alpha=0.25)
            if dark:
                axes.set_facecolor("#16181c")
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def _draw_gains(
    figure: "SubFigure", entries: Sequence[Mapping[str, Any]], names: Sequence[str], names_across: int
) -> None:
    """Draw how far each entry came above gray, over minutes and over photographs, with the names below."""
    by_time, by_photos = figure.subplots(1, 2, sharey=True)
    shown = []
    for number, entry in enumerate(entries):
        history = entry["training"]["history"]
        gains = [row["psnr_gain_db"] for row in history]
        shown += [gain for gain in gains[len(gains) // 4 :] if gain is not None and math.isfinite(gain)]
        # There are ten colours; further entries have them again in other lines.
        look = {
            "label": names[number],
            "marker": "." if len(gains) < 40 else None,
            "linestyle": ("-", "--", ":")[number // 10 % 3],
        }
        by_time.plot([row["seconds"] / 60 for row in history], gains, **look)
        by_photos.plot([row["step"] * entry["batch_size"] for row in history], gains, **look)
    # The first steps lie far below; they would take the room of what is to be compared.
    by_time.set_ylim(bottom=min([0.0, *shown]) - 0.2)
    by_time.set_ylabel("PSNR over gray, dB (held out)")
    by_time.set_xlabel("minutes of training")
    by_photos.set_xlabel("photographs seen")
    handles = by_photos.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=names_across, fontsize=8, frameon=False)
    for axes in (by_time, by_photos):
        axes.axhline(0, color="gray", linewidth=1)


def _draw_losses(axes: "Axes", entry: Mapping[str, Any]) -> None:
    history = entry["training"]["history"]
    steps = [row["step"] for row in history]
    for key, name in _LOSSES.items():
        values = [row.get(key) for row in history]
        # An entry without a discriminator has no such loss, or one that is 0 throughout.
        if all(value is not None for value in values) and any(value > 0 for value in values):
            # A loss that has not begun is 0, which a logarithmic axis cannot show: a gap.
            values = [value if value > 0 else math.nan for value in values]
            axes.plot(steps, values, label=name, marker="." if len(values) < 40 else None)
    axes.set_yscale("log")
    axes.set_title(textwrap.fill(entry["label"], 40), fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    if axes.lines:
        axes.legend(fontsize=7)
