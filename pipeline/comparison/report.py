"""Writes what a comparison found: one HTML page that needs no other file, JSON, Markdown, and the pictures alone."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photo.whole_file import write_whole
from pipeline.comparison.figures import Table, remarks, tables
from pipeline.comparison.pictures import draw_curves, draw_grid, grid_columns
from pipeline.comparison.result_files import write_record

HTML_NAME = "report.html"
JSON_NAME = "report.json"
MARKDOWN_NAME = "report.md"
GRID_NAME = "grid.png"
CURVES_NAME = "curves.png"
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(report: Mapping[str, Any], out: Path) -> None:
    """Write the report as it stands.

    Args:
        report: what `comparison.run_comparison` returns; entries may be done, failed or still waiting.
        out: gets HTML_NAME, JSON_NAME, MARKDOWN_NAME, and when an entry is done GRID_NAME and CURVES_NAME.
    """
    done = [entry for entry in report["entries"] if entry["status"] == "done"]
    columns = grid_columns([*report["entries"], *report["methods"]], out)
    for name in (GRID_NAME, CURVES_NAME):
        (out / name).unlink(missing_ok=True)
    curves, dark_curves = None, None
    if done:
        curves, dark_curves = draw_curves(done), draw_curves(done, dark=True)
        write_whole(out / CURVES_NAME, curves)
    if columns:
        write_whole(out / GRID_NAME, draw_grid(columns))
    write_whole(out / HTML_NAME, _html(report, columns, curves, dark_curves))
    write_whole(out / MARKDOWN_NAME, markdown(report))
    write_record(out / JSON_NAME, dict(report))


def conditions(report: Mapping[str, Any]) -> list[str]:
    """Under which conditions the figures were taken, a sentence each."""
    splits = report["photographs"]["splits"]
    measured = next((entry["metrics"]["n_images"] for entry in report["entries"] if entry["status"] == "done"), None)
    count = f"{measured:,} " if measured is not None else ""
    where = f"photographs of {report['test_data']}" if report["test_data"] else "held-out photographs"
    return [
        f"Trained on {splits['train']:,} photographs of {report['data']}, each entry for {report['budget']}.",
        f"Measured on {count}{where}, all entries at {report['size']} pixels, through the serving signature of the "
        "exported SavedModel" + ("; methods that learn nothing, directly." if report["methods"] else "."),
        f"Machine: {report['machine']}.",
    ]


def markdown(report: Mapping[str, Any]) -> str:
    """The tables and remarks, to be pasted into a document."""
    parts = [f"## {report['title']}", report["question"], " ".join(conditions(report))]
    for table in tables(report["entries"], report["methods"]):
        parts.append("\n".join(_markdown_lines(table)))
    parts.append("\n".join(f"- {label}: {words}" for label, words in _remarks(report)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_lines(table: Table) -> list[str]:
    def escape(text: str) -> str:
        return text.replace("*", r"\*").replace("|", r"\|")

    lines = [f"| | {' | '.join(table.headings)} |", "| --- |" + " ---: |" * len(table.headings)]
    for label, cells in table.rows:
        texts = [f"**{cell.text}**" if cell.best else cell.text for cell in cells]
        lines.append(f"| {escape(label)} | {' | '.join(texts)} |")
    return lines


def _html(
    report: Mapping[str, Any],
    columns: list[tuple[str, list[Path]]],
    curves: bytes | None,
    dark_curves: bytes | None,
) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pictures = [[_data_uri(file.read_bytes()) for file in files] for _, files in columns]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        conditions=conditions(report),
        tables=tables(report["entries"], report["methods"]),
        remarks=_remarks(report),
        grid_headings=[heading for heading, _ in columns],
        grid_rows=list(zip(*pictures, strict=True)),
        curves=_data_uri(curves) if curves else None,
        dark_curves=_data_uri(dark_curves) if dark_curves else None,
    )


def _remarks(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return remarks([*report["entries"], *report["methods"]])


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
