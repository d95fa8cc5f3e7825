"""What a local folder of Examples was made from, so that the same photographs are not read twice."""

import json
from pathlib import Path
from typing import Any

from components.image_example_gen.config import NOT_OF_INGESTION, DataConfig
from components.image_example_gen.listing import fingerprint_locations

SOURCE_NAME = "source.json"


def source_of(location: str, config: DataConfig) -> dict[str, Any]:
    """Describe photographs and how they are taken in; it changes with any file below `location`."""
    return {"photographs": fingerprint_locations(location), "config": config.model_dump(exclude=NOT_OF_INGESTION)}


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
