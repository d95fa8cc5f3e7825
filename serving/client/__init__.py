"""The thin client: colours photographs through a server, without TensorFlow. Names load when first used."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.client.async_colorizer import AsyncColorizer
    from serving.client.colorizer import Colorizer
    from serving.client.flows import Outcome
    from serving.client.options import Keepalive, Retry, Tls

__all__ = ["AsyncColorizer", "Colorizer", "Keepalive", "ModelDescription", "Outcome", "Retry", "Tls"]

_MODULE_OF_NAME = {
    "AsyncColorizer": "async_colorizer",
    "Colorizer": "colorizer",
    "ModelDescription": "flows",
    "Outcome": "flows",
    "Keepalive": "options",
    "Retry": "options",
    "Tls": "options",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
