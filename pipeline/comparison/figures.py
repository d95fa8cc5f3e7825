"""The figures of a comparison in the form a person reads: tables, the best of each column marked."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.evaluator.metric_rows import HINT_CURVE, MOST_LABELS

BASELINE_LABEL = "left gray"


@dataclasses.dataclass(frozen=True)
class Cell:
    """A figure as it is shown, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of figures.

    Attributes:
        short_headings: the same for a terminal of 80 columns.
        rows: label and a cell for each of `headings`.
    """

    title: str
    headings: tuple[str, ...]
    short_headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclasses.dataclass(frozen=True)
class _Column:
    """How one figure is found in an entry of the report, shown, and judged.

    Attributes:
        better: `high`, `low`, `one` (the nearest to 1), or None for what is neither good nor bad.
        gray: the same figure of the photographs left gray, from an entry's metrics.
    """

    heading: str
    short_heading: str
    form: str
    value: Callable[[Mapping[str, Any]], float | None]
    better: str | None = None
    gray: Callable[[Mapping[str, Any]], float | None] = lambda _: None


def _measured(heading: str, short_heading: str, form: str, key: str, better: str) -> _Column:
    return _Column(
        heading,
        short_heading,
        form,
        lambda entry: entry["metrics"].get(key),  # entries measured by an earlier version lack later figures
        better,
        lambda metrics: metrics["grayscale"].get(key),
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


QUALITY = (
    _measured("PSNR, dB", "PSNR dB", "{:.2f}", "psnr_db", "high"),
    _Column(
        "over gray, dB",
        "gain dB",
        "{:+.2f}",
        lambda entry: entry["metrics"]["psnr_db"] - entry["metrics"]["grayscale"]["psnr_db"],
        "high",
        lambda _: 0.0,
    ),
    _measured("SSIM", "SSIM", "{:.3f}", "ssim", "high"),
    _measured("CIEDE2000", "ΔE2000", "{:.2f}", "delta_e_2000", "low"),
    _measured("ab error", "ab err", "{:.2f}", "ab_mae", "low"),
    _Column(
        "ab error, of gray's",
        "/ gray",
        "{:.0%}",
        lambda entry: _share(entry["metrics"]["ab_mae"], entry["metrics"]["grayscale"]["ab_mae"]),
        "low",
        lambda _: 1.0,
    ),
    _measured("accuracy 2%", "acc 2%", "{:.1%}", "accuracy_eps2", "high"),
    _measured("accuracy 5%", "acc 5%", "{:.1%}", "accuracy_eps5", "high"),
    _Column(
        "colorfulness, of the truth's",
        "color",
        "{:.0%}",
        lambda entry: _share(entry["metrics"]["colorfulness"], entry["metrics"]["colorfulness_truth"]),
        "one",
        lambda _: 0.0,
    ),
    _measured("photographs left gray", "left gray", "{:.1%}", "left_gray", "low"),
)
_FRECHET = _measured(
    "Frechet distance (EfficientNet-Lite0)", "Frechet", "{:.2f}", "frechet_distance_efficientnet_lite0", "low"
)
_VARIANTS = _Column(
    "ab distance of variants",
    "variants",
    "{:.2f}",
    lambda entry: (entry["metrics"].get("variants") or {}).get("ab_distance"),
    None,
)
# Entries measured by an earlier version have no such figure.
_MILLISECONDS = _Column("ms to colour a photo", "ms", "{:.1f}", lambda entry: entry.get("photo_milliseconds"), "low")
COST = (
    _Column("images/s", "images/s", "{:,.1f}", lambda entry: entry["training"]["images_per_second"], "high"),
    _Column("steps", "steps", "{:,}", lambda entry: entry["training"]["steps"]),
    _Column("photos seen", "photos seen", "{:,}", lambda entry: entry["training"]["steps"] * entry["batch_size"]),
    _Column("minutes", "minutes", "{:.1f}", lambda entry: entry["training"]["seconds"] / 60),
    _Column("parameters of generator", "generator", "{:,}", lambda entry: entry["training"]["generator_parameters"]),
    _Column("of discriminator", "discrim.", "{:,}", lambda entry: entry["training"]["discriminator_parameters"]),
    _MILLISECONDS,
    _Column("SavedModel, MB", "MB", "{:.1f}", lambda entry: entry["model_bytes"] / 1e6, "low"),
)


def tables(entries: Sequence[Mapping[str, Any]], methods: Sequence[Mapping[str, Any]] = ()) -> list[Table]:
    """All tables of a report in their order; methods that learn nothing stand below the entries, where they can."""
    rows = [*entries, *methods]
    return [quality_table(rows), *folder_tables(rows), *hint_tables(rows), cost_table(entries)]


def quality_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    """How near the colours come to the true ones; the first row is the photographs left gray."""
    done = [entry for entry in entries if entry["status"] == "done"]
    columns: tuple[_Column, ...] = QUALITY
    # Figures that not every model or installation has.
    for column in (_FRECHET, _VARIANTS, *([_MILLISECONDS] if any("method" in entry for entry in done) else [])):
        if any(column.value(entry) is not None for entry in done):
            columns = (*columns, column)
    gray = [column.gray(done[0]["metrics"]) if done else None for column in columns]
    return _table("Colour", columns, entries, (BASELINE_LABEL, gray))


def folder_tables(entries: Sequence[Mapping[str, Any]]) -> list[Table]:
    """PSNR over gray, and the share of photographs left gray, a column for each folder; none for a single folder."""
    done = [entry for entry in entries if entry["status"] == "done"]
    folders = sorted({folder for entry in done for folder in entry["metrics"].get("labels", {})})
    if not 1 < len(folders) <= MOST_LABELS:
        return []

    def columns(form: str, value: Callable[[Mapping[str, Any]], float | None], better: str) -> list[_Column]:
        def of(folder: str) -> Callable[[Mapping[str, Any]], float | None]:
            return lambda entry: value(found) if (found := entry["metrics"]["labels"].get(folder)) else None

        return [_Column(folder or "(none)", folder or "(none)", form, of(folder), better) for folder in folders]

    gain = columns("{:+.2f}", lambda figures: figures["psnr_db"] - figures["grayscale"]["psnr_db"], "high")
    left_gray = columns("{:.1%}", lambda figures: figures.get("left_gray"), "low")
    return [
        _table("PSNR over gray by folder, dB", gain, entries, None),
        _table("Photographs left gray by folder", left_gray, entries, None),
    ]


def hint_tables(entries: Sequence[Mapping[str, Any]]) -> list[Table]:
    """PSNR of those that take hints, a column for each number of true colours given; none where none takes any."""
    taking = [entry for entry in entries if entry["status"] == "done" and entry["metrics"].get(HINT_CURVE)]
    if not taking:
        return []

    def of(count: int) -> Callable[[Mapping[str, Any]], float | None]:
        return lambda entry: {point["hints"]: point["psnr_db"] for point in entry["metrics"][HINT_CURVE]}.get(count)

    counts = [point["hints"] for point in taking[0]["metrics"][HINT_CURVE]]
    names = [f"{count} hint" if count == 1 else f"{count} hints" for count in counts]
    columns = [_Column(name, name, "{:.2f}", of(count), "high") for name, count in zip(names, counts, strict=True)]
    return [_table("PSNR by true colours given as hints, dB", columns, taking, None)]


def cost_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    """What the training took and the model weighs."""
    return _table("Cost", COST, entries, None)


def _table(
    title: str,
    columns: Sequence[_Column],
    entries: Sequence[Mapping[str, Any]],
    first: tuple[str, list[float | None]] | None,
) -> Table:
    rows = [first] if first else []
    for entry in entries:
        done = entry["status"] == "done"
        rows.append((entry["label"], [column.value(entry) if done else None for column in columns]))
    cells = [_column_cells(column, [row[1][index] for row in rows]) for index, column in enumerate(columns)]
    return Table(
        title,
        tuple(column.heading for column in columns),
        tuple(column.short_heading for column in columns),
        tuple((label, tuple(column[index] for column in cells)) for index, (label, _) in enumerate(rows)),
    )


def _column_cells(column: _Column, values: Sequence[float | None]) -> list[Cell]:
    present = [value for value in values if value is not None]
    texts = ["–" if value is None else column.form.format(value) for value in values]
    if column.better is None or len(present) < 2:
        return [Cell(text) for text in texts]
    judge = {"high": lambda value: -value, "low": lambda value: value, "one": lambda value: abs(value - 1)}
    # What looks the same is equally good.
    best = column.form.format(min(present, key=judge[column.better]))
    return [Cell(text, best=text == best) for text in texts]


def remarks(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Label and words for each entry that did not come to an ordinary end."""
    found = []
    for entry in entries:
        if entry["status"] == "failed":
            found.append((entry["label"], f"failed: {entry['error']}"))
        elif entry["status"] == "waiting":
            found.append((entry["label"], "not trained yet"))
        elif entry.get("training", {}).get("stopped") == "diverged":
            step = entry["training"]["steps"]
            found.append((entry["label"], f"diverged by step {step}: measured with the last good weights"))
        elif entry["metrics"].get("n_not_finite"):
            count = entry["metrics"]["n_not_finite"]
            found.append((entry["label"], f"{count} predictions were not finite and count as gray there"))
    return found
