"""The front door: `from tintype import Colorizer`, and the `tintype` command. Imports nothing until it is used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client.colorizer import Colorizer

__all__ = ["Colorizer"]


def __getattr__(name: str) -> Any:
    if name != "Colorizer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from serving.client.colorizer import Colorizer

    return Colorizer
