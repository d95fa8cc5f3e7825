"""Rows that the reports of a whole run and of a training alone have in common, for a table in the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any


def photograph_rows(photographs: Mapping[str, Any], report: str, source: str = "") -> Iterator[tuple[str, str]]:
    """What was read and kept, and what was left out.

    Args:
        photographs: ingestion's summary: `read`, `kept`, `splits`, and `left_out` by reason.
        report: the path of the JSON lines that name each photograph left out.
        source: where they were read from; "" leaves it out.
    """
    read = f"{photographs['read']} read" + (f" from {source}" if source else "")
    yield "photographs", f"{read}, {photographs['kept']} kept: {_counts(photographs['splits'])}"
    if photographs["left_out"]:
        yield "left out", f"{_counts(photographs['left_out'])}\nnamed in {report}"


def training_row(training: Mapping[str, Any]) -> tuple[str, str]:
    """How long the training took, and what stopped it.

    Args:
        training: the fields of a TrainingSummary.
    """
    stopped = "" if training["stopped"] == "finished" else f", stopped: {training['stopped']}"
    return "training", (
        f"{training['recipe']}: {training['steps']} steps in {training['seconds'] / 60:.1f} min, "
        f"{training['images_per_second']:.0f} images/s, {training['strategy']}{stopped}"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())
