"""`tintype serve`: the embedded server, with the flags of tensorflow_model_server."""

from dataclasses import fields
from typing import Any

import typer
from typer.core import TyperCommand

from photo.version import __version__
from serving.server.options import FLAGS_THAT_MUST_BE_OFF, FLAGS_WITHOUT_EFFECT, ServerOptions
from tintype.command_options import expand_options

_DEFAULTS = ServerOptions("colorizer", port=8500, host="0.0.0.0")
_BOOLEANS = frozenset(field.metadata["flag"] for field in fields(ServerOptions) if "takes_value" in field.metadata)


class ModelServerCommand(TyperCommand):
    """A command that reads flags as tensorflow_model_server does.

    `--enable_batching` means `--enable_batching=true`, and what is no flag is printed and passed over.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give every bare boolean flag its value, leave out what is not for us, then parse as usual."""
        known = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        kept: list[str] = []
        takes_next = False
        for argument in args:
            name, equals, value = argument.partition("=")
            if takes_next:
                kept.append(argument)
                takes_next = False
            elif argument in _BOOLEANS:
                kept.append(f"{argument}=true")
            elif name in known:
                kept.append(argument)
                takes_next = not equals and name not in ("--help", "-h")
            elif name == "--version":
                typer.echo(f"tintype {__version__}, which speaks the API of TensorFlow Serving 2")
                raise typer.Exit
            elif name in FLAGS_THAT_MUST_BE_OFF:
                if (value.lower() if equals else "true") not in FLAGS_THAT_MUST_BE_OFF[name]:
                    raise typer.BadParameter(f"{argument}: this server has nothing of the kind", ctx)
            elif name in FLAGS_WITHOUT_EFFECT:
                typer.echo(f"{name} has no effect here")
            else:
                typer.echo(f"unknown argument: {argument}")
        return super().parse_args(ctx, kept)


@expand_options
def serve(options: ServerOptions = _DEFAULTS) -> None:
    """Serve models over gRPC and REST as TensorFlow Serving does; new versions are taken up live.

    The flags are those of tensorflow_model_server, with its defaults but for the model's name, and for the model: where
    none is named, it is the generator that comes with Tintype.
    """
    from serving.server.run import run_server

    run_server(options)
