"""A path of a model's folder in which TensorFlow, which looks for variables by a pattern, finds no wildcard."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WILDCARDS = frozenset("*?[]{}\\")


@contextmanager
def plain_path(folder: str) -> Iterator[str]:
    """Yield the path of a folder, or of a link to it for as long as the block runs where its own holds wildcards."""
    if not (_WILDCARDS & set(folder) and os.path.isdir(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="served-model-") as place:
        link = Path(place) / "model"
        link.symlink_to(Path(folder).absolute())
        yield str(link)
