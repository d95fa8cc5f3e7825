"""The front door: `from tintype import Colorizer`, and the `tintype` command. Imports nothing until it is used."""

import importlib
from typing import TYPE_CHECKING

from tintype.version import __version__

if TYPE_CHECKING:
    from photo.coloring_options import ColoringOptions
    from photo.errors import ClientClosed, PhotoError, ServerRefused, ServerUnavailable, TintypeError
    from photo.formats import PhotoFormat
    from serving.client.async_colorizer import AsyncColorizer
    from serving.client.colorizer import Colorizer
    from serving.client.options import ConnectionOptions, Keepalive, Retry, Tls
    from serving.client.results import ColoringResult
    from serving.model.description import ModelDescription

__all__ = [
    "AsyncColorizer",
    "ClientClosed",
    "ColoringOptions",
    "ColoringResult",
    "Colorizer",
    "ConnectionOptions",
    "Keepalive",
    "ModelDescription",
    "PhotoError",
    "PhotoFormat",
    "Retry",
    "ServerRefused",
    "ServerUnavailable",
    "TintypeError",
    "Tls",
    "__version__",
]

_MODULE_OF_NAME = {
    "AsyncColorizer": "serving.client.async_colorizer",
    "ClientClosed": "photo.errors",
    "ColoringOptions": "photo.coloring_options",
    "ColoringResult": "serving.client.results",
    "Colorizer": "serving.client.colorizer",
    "ConnectionOptions": "serving.client.options",
    "Keepalive": "serving.client.options",
    "ModelDescription": "serving.model.description",
    "PhotoError": "photo.errors",
    "PhotoFormat": "photo.formats",
    "Retry": "serving.client.options",
    "ServerRefused": "photo.errors",
    "ServerUnavailable": "photo.errors",
    "TintypeError": "photo.errors",
    "Tls": "serving.client.options",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF_NAME[name]), name)
