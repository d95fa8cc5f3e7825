"""The front door: `from tintype import Colorizer`, and the `tintype` command. Imports nothing until it is used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client.async_colorizer import AsyncColorizer
    from serving.client.colorizer import Colorizer

__all__ = ["AsyncColorizer", "Colorizer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import serving.client

    return getattr(serving.client, name)
