"""What a local folder of Examples was made from, so that the same photographs are not read twice."""

import json
from pathlib import Path
from typing import Any

from components.image_example_gen.config import DataConfig
from serving.batch.file_systems import fingerprint

SOURCE_NAME = "source.json"


def source_of(location: str, config: DataConfig) -> dict[str, Any]:
    """Describe photographs and how they are taken in; it changes with any file below `location`."""
    # The network's side has no part in this step.
    return {"photographs": fingerprint(location), "config": config.model_dump(exclude={"size"})}


def read_source(folder: Path) -> dict[str, Any] | None:
    """Return what the Examples in `folder` were made from; None when there are none."""
    try:
        source: dict[str, Any] = json.loads((folder / SOURCE_NAME).read_text())
    except (OSError, ValueError):
        return None
    return source


def write_source(folder: Path, source: dict[str, Any]) -> None:
    """Note what the Examples in `folder` were made from."""
    (folder / SOURCE_NAME).write_text(json.dumps(source, indent=2))
