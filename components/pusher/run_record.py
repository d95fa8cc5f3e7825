"""What a run's artifacts say of the model that it pushes: the content of `assets.extra/tintype.json`."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.image_example_gen.summary import SUMMARY_NAME
from components.trainer.decoded_photos import content_digest, example_files
from photo.version import __version__

_FIGURES = (int, float, str, bool)


def code_version() -> dict[str, Any]:
    """Return Tintype's version, and the commit where it runs from a clone; "+" says that files were changed."""
    folder = Path(__file__).parents[2]
    code: dict[str, Any] = {"version": __version__}
    if (folder / ".git").exists():
        try:
            command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
            said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            code["commit"] = said.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass  # no git here, or not ours to read
    return code


def run_record(input_dict: dict[str, list[types.Artifact]], run: dict[str, Any], config: str | None) -> dict[str, Any]:
    """Return the record of a run that two gates have blessed.

    Args:
        input_dict: `examples`, `model_run` and `evaluation`, those that the run has.
        run: names the pipeline and its run.
        config: the run's, as JSON; None where nobody says.

    Raises:
        TintypeError: the examples cannot be read.
        OSError, ValueError, tf.errors.OpError: a report is gone or damaged.
    """
    record: dict[str, Any] = {"run": run, "code": code_version()}
    if config:
        record["config"] = json.loads(config)
    if "examples" in input_dict:
        folder = artifact_utils.get_single_uri(input_dict["examples"])
        record["data"] = _data(folder)
    if "model_run" in input_dict:
        folder = artifact_utils.get_single_uri(input_dict["model_run"])
        record["training"] = _figures(_read(f"{folder}/training.json"))
    if "evaluation" in input_dict:
        metrics = _read(f"{artifact_utils.get_single_uri(input_dict['evaluation'])}/metrics.json")
        described = metrics.get("model") or {}
        record |= {name: described[name] for name in ("fingerprint", "recipe") if name in described}
        parts = {name: metrics[name] for name in ("grayscale", "baseline") if isinstance(metrics.get(name), dict)}
        record["metrics"] = _figures(metrics) | {name: _figures(part) for name, part in parts.items()}
    record["blessing"] = {"evaluator": True, "canary": True}
    return record


def _data(examples: str) -> dict[str, Any]:
    """Return how many photographs there were, and a digest of each split's content."""
    summary = _read(f"{examples}/{SUMMARY_NAME}")
    counts: dict[str, Any] = {name: summary[name] for name in ("read", "kept", "splits", "left_out") if name in summary}
    used = [split for split in ("train", "eval") if summary.get("splits", {}).get(split)]
    return {"digest": {split: content_digest(example_files(examples, split)) for split in used}, **counts}


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    """Return the single values of a report, not its tables nor its paths."""
    return {name: value for name, value in report.items() if isinstance(value, _FIGURES) and name != "path"}


def _read(path: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(io_utils.read_string_file(path))
    return report
