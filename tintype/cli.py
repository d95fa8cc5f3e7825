"""The `tintype` command. Every command imports its work when it runs, so that --help answers at once."""

import sys

import typer

from tintype.commands import colorize, demo, run, serve

app = typer.Typer(
    name="tintype",
    help="Colour black-and-white photographs: train, serve, colorize.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("serve")(serve.serve)
app.command("colorize")(colorize.colorize)


def main() -> None:
    """Run the command line; what is the input's fault ends in one clear line, not in a traceback."""
    from serving.client.errors import TintypeError

    try:
        app()
    except TintypeError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
