"""The Beam batch job: colours archives of photographs on one machine or a cluster. Names load when first used."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.batch.job import BatchJob
    from serving.batch.job_options import JobOptions
    from serving.batch.model_in_worker import SavedModelHandler
    from serving.batch.model_on_server import ServerHandler, server_handler
    from serving.batch.outcomes import Outcome
    from serving.batch.output_settings import OutputSettings
    from serving.batch.running import run_batch
    from serving.batch.summary import BatchSummary
    from serving.batch.transforms import ColorizePhotos, ReadPhotos, WritePhotos
    from serving.batch.watching import watch

_MODULE_OF_NAME = {
    "BatchJob": "job",
    "BatchSummary": "summary",
    "JobOptions": "job_options",
    "ColorizePhotos": "transforms",
    "Outcome": "outcomes",
    "OutputSettings": "output_settings",
    "ReadPhotos": "transforms",
    "SavedModelHandler": "model_in_worker",
    "ServerHandler": "model_on_server",
    "WritePhotos": "transforms",
    "run_batch": "running",
    "server_handler": "model_on_server",
    "watch": "watching",
}

__all__ = [
    "BatchJob",
    "BatchSummary",
    "ColorizePhotos",
    "JobOptions",
    "Outcome",
    "OutputSettings",
    "ReadPhotos",
    "SavedModelHandler",
    "ServerHandler",
    "WritePhotos",
    "run_batch",
    "server_handler",
    "watch",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
