"""The embedded server: TensorFlow Serving's contract on one machine, in one process. Names load when first used."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.server.embedded_server import EmbeddedServer
    from serving.server.errors import ServeError
    from serving.server.options import ServerOptions

__all__ = ["EmbeddedServer", "ServeError", "ServerOptions"]

_MODULE_OF_NAME = {"EmbeddedServer": "embedded_server", "ServeError": "errors", "ServerOptions": "options"}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
