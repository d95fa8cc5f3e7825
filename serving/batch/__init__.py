"""The Beam batch job: colours archives of photographs on one machine or a cluster. Names load when first used."""

import importlib
from typing import Any

_MODULE_OF_NAME = {
    "ColorizePhotos": "transforms",
    "ReadPhotos": "transforms",
    "WritePhotos": "transforms",
    "OutputSettings": "outputs",
    "Outcome": "outcomes",
    "SavedModelHandler": "models",
    "ServerHandler": "models",
    "server_handler": "models",
    "BatchJob": "job",
    "Summary": "job",
    "run_batch": "job",
    "watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
