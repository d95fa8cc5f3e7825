"""The front door: `from tintype import Colorizer`, and the `tintype` command. Imports nothing until it is used."""

import importlib
from typing import TYPE_CHECKING

from photo.version import __version__

if TYPE_CHECKING:
    from photo.coloring_options import ColoringOptions
    from photo.errors import ClientClosed, PhotoError, ServerRefused, ServerUnavailable, SignatureMissing, TintypeError
    from photo.formats import PhotoFormat
    from photo.hints import Hint
    from serving.client.async_colorizer import AsyncColorizer
    from serving.client.colorizer import Colorizer
    from serving.client.options import ConnectionOptions, Keepalive, Retry, Tls
    from serving.client.results import ColoringResult, LikelyColor
    from serving.model.description import ModelDescription
    from serving.model.onnx_model import OnnxModel

__all__ = [
    "AsyncColorizer",
    "ClientClosed",
    "ColoringOptions",
    "ColoringResult",
    "Colorizer",
    "ConnectionOptions",
    "Hint",
    "Keepalive",
    "LikelyColor",
    "ModelDescription",
    "OnnxModel",
    "PhotoError",
    "PhotoFormat",
    "Retry",
    "ServerRefused",
    "ServerUnavailable",
    "SignatureMissing",
    "TintypeError",
    "Tls",
    "__version__",
]

_ERRORS = {"ClientClosed", "PhotoError", "ServerRefused", "ServerUnavailable", "SignatureMissing", "TintypeError"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("photo.errors" if name in _ERRORS else "serving.client"), name)
