"""The thin client: colours photographs through a server, without TensorFlow. Names load when first used."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photo.coloring_options import ColoringOptions
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
    "ColoringOptions",
    "ColoringResult",
    "Colorizer",
    "ConnectionOptions",
    "Hint",
    "Keepalive",
    "LikelyColor",
    "ModelDescription",
    "OnnxModel",
    "PhotoFormat",
    "Retry",
    "Tls",
]

_MODULE_OF_NAME = {
    "AsyncColorizer": "serving.client.async_colorizer",
    "Colorizer": "serving.client.colorizer",
    "ColoringOptions": "photo.coloring_options",
    "ColoringResult": "serving.client.results",
    "ConnectionOptions": "serving.client.options",
    "Hint": "photo.hints",
    "Keepalive": "serving.client.options",
    "LikelyColor": "serving.client.results",
    "ModelDescription": "serving.model.description",
    "OnnxModel": "serving.model.onnx_model",
    "PhotoFormat": "photo.formats",
    "Retry": "serving.client.options",
    "Tls": "serving.client.options",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF_NAME[name]), name)
