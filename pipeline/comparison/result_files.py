"""What an entry leaves behind as JSON, so that a comparison that was stopped goes on where it was."""

import json
import math
from pathlib import Path
from typing import Any

from photo.whole_file import write_whole

TRAINED_NAME = "trained.json"
RESULT_NAME = "result.json"


def read_record(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} when there is none."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON object whole, with null for numbers that JSON cannot hold."""
    write_whole(path, json.dumps(_finite(record), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
