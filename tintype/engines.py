"""Which engine colours where no server is named: onnxruntime in this process, or an embedded server with TensorFlow."""

import importlib.util
from enum import StrEnum
from typing import Annotated

import typer


class Engine(StrEnum):
    """What computes the colours on this machine."""

    AUTO = "auto"
    ONNX = "onnx"
    TENSORFLOW = "tensorflow"


EngineOption = Annotated[
    Engine,
    typer.Option(
        help="What computes where no server is named: onnxruntime in this process, which starts in a second, or an "
        "embedded server with TensorFlow, which gives variants, too; auto takes what fits and is installed.",
        rich_help_panel="Connection",
    ),
]


def check_engine(engine: Engine, server: str | None) -> None:
    """Refuse an engine for a server, which has its own."""
    if server is not None and engine is not Engine.AUTO:
        raise typer.BadParameter("a server has its own; leave one of both out", param_hint="'--engine'")


def is_installed(module: str) -> bool:
    """Return whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def takes_onnx(engine: Engine, *, prefers_tensorflow: bool) -> bool:
    """Return whether onnxruntime is to ask the generator that comes with Tintype.

    Args:
        engine: as it was given.
        prefers_tensorflow: something is wanted that only TensorFlow gives; what auto takes where both are installed.
    """
    if engine is not Engine.AUTO:
        return engine is Engine.ONNX
    if not is_installed("onnxruntime"):
        return False
    if not is_installed("tensorflow"):
        return True
    from serving.model.shipped_generator import has_graphs, shipped_generator

    return not prefers_tensorflow and has_graphs(shipped_generator())
