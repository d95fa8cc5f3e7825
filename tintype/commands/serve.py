"""`tintype serve`: the embedded server, with the flags of tensorflow_model_server."""

from dataclasses import fields
from typing import Any

from typer.core import TyperCommand

from serving.server.options import ServerOptions
from tintype.command_options import expand_options

_DEFAULTS = ServerOptions("colorizer", port=8500, host="0.0.0.0")
_BOOLEANS = frozenset(field.metadata["flag"] for field in fields(ServerOptions) if "takes_value" in field.metadata)


class ModelServerCommand(TyperCommand):
    """A command whose boolean flags may stand without a value: `--enable_batching` means `--enable_batching=true`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give every bare boolean flag its value, then parse as usual."""
        return super().parse_args(ctx, [f"{argument}=true" if argument in _BOOLEANS else argument for argument in args])


@expand_options
def serve(options: ServerOptions = _DEFAULTS) -> None:
    """Serve models over gRPC and REST as TensorFlow Serving does; new versions are taken up live.

    The flags are those of tensorflow_model_server, with its defaults but for the model's name, and for the model: where
    none is named, it is the generator that comes with Tintype.
    """
    from serving.server.run import run_server

    run_server(options)
