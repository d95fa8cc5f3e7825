"""The thin client: colours photographs through a server, without TensorFlow. Names load when first used."""

import importlib
from typing import Any

_MODULE_OF_NAME = {
    "AsyncColorizer": "async_colorizer",
    "Colorizer": "colorizer",
    "ModelDescription": "core",
    "Outcome": "core",
    "Keepalive": "settings",
    "Retry": "settings",
    "Tls": "settings",
    "apply_chroma": "chroma",
    "Photo": "photo",
    "decode_photo": "photo",
    "encode_photo": "photo",
    "photo_size": "photo",
    "ClientClosed": "errors",
    "PhotoError": "errors",
    "ServerRefused": "errors",
    "ServerUnavailable": "errors",
    "TintypeError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
