"""The figures of a metrics JSON for a person, as rows of a table."""

from collections.abc import Callable, Mapping
from typing import Any

Figures = Mapping[str, Any]

# What the columns are in: too long for headings.
LABEL_UNITS = "gain: PSNR over gray; ab error and ΔE2000: shares of gray's; color: colorfulness, of the truth's"
# More labels than these make no table that could be read.
MOST_LABELS = 12

HINT_CURVE = "hint_curve"  # its name in a metrics JSON

_LABEL_COLUMNS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("photos", lambda figures: f"{figures['n_images']}"),
    ("gain", lambda figures: f"{figures['psnr_db'] - figures['grayscale']['psnr_db']:+.2f} dB"),
    ("ab error", lambda figures: _share(figures["ab_mae"], figures["grayscale"]["ab_mae"])),
    ("ΔE2000", lambda figures: _share(figures["delta_e_2000"], figures["grayscale"]["delta_e_2000"])),
    ("color", lambda figures: _share(figures["colorfulness"], figures["colorfulness_truth"])),
    ("left gray", lambda figures: f"{figures['left_gray']:.1%}"),
)


def metric_rows(metrics: Figures) -> list[tuple[str, str]]:
    """Name and value of each figure of all photographs, each with that of the photographs left gray."""
    gray = metrics["grayscale"]
    forms = {
        "psnr_db": ("PSNR", "{:.2f} dB"),
        "ssim": ("SSIM", "{:.3f}"),
        "delta_e_2000": ("CIEDE2000", "{:.2f}"),
        "ab_mae": ("ab error", "{:.2f}"),
        "accuracy_eps2": ("accuracy 2%", "{:.1%}"),
        "accuracy_eps5": ("accuracy 5%", "{:.1%}"),
    }
    rows = [
        (name, f"{form.format(metrics[key])}   (left gray: {form.format(gray[key])})")
        for key, (name, form) in forms.items()
    ]
    true = f"(the true photographs': {metrics['colorfulness_truth']:.1f})"
    rows += [
        ("colorfulness", f"{metrics['colorfulness']:.1f}   {true}"),
        ("left gray", f"{metrics['left_gray']:.1%} of the photographs"),
    ]
    if spoiled := metrics.get("spoiled"):
        lost = f"{spoiled['gain_lost_db']:.2f} dB of the gain lost, ab error {spoiled['ab_mae']:.2f}"
        rows.append(("spoiled gray", f"{lost}, left gray {spoiled['left_gray']:.1%}"))
    if (distance := metrics.get("frechet_distance_efficientnet_lite0")) is not None:
        gray_distance = gray["frechet_distance_efficientnet_lite0"]
        size = metrics["frechet_sample_size"]
        rows.append(("Frechet distance", f"{distance:.2f}   (left gray: {gray_distance:.2f}; of {size} photographs)"))
    if variants := metrics.get("variants"):
        best = variants["best_psnr_db"] - variants["psnr_db"]
        worst = _share(variants["worst_delta_e_2000"], variants["grayscale_delta_e_2000"])
        found = f"{variants['ab_distance']:.2f} units apart, best {best:+.2f} dB, worst {worst} of gray's CIEDE2000"
        rows.append(("variants", f"{found}   (of {variants['n_images']} photographs)"))
    if curve := metrics.get(HINT_CURVE):
        none = curve[0]["psnr_db"]
        gains = (f"{point['psnr_db'] - none:+.1f} by {point['hints']}" for point in curve[1:])
        rows.append(("hints, dB", ", ".join(gains)))
    return rows


def label_table(groups: Mapping[str, Figures]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the figures by label, or by any other grouping, as under `labels` of a metrics JSON."""
    headings = ["", *(heading for heading, _ in _LABEL_COLUMNS)]
    return headings, [
        [label or "(no folder)", *(form(group) for _, form in _LABEL_COLUMNS)] for label, group in groups.items()
    ]


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.3f}" if whole else "–"
