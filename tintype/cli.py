"""The `tintype` command. Every command imports its work when it runs, so that --help answers at once."""

import signal
import sys
from typing import Annotated, NoReturn

import typer

from tintype import __version__
from tintype.commands import (
    batch,
    colorize,
    compare,
    compile,
    demo,
    evaluate,
    export,
    inspect,
    models,
    pack,
    push,
    rollout,
    run,
    serve,
    submit,
    train,
    video,
    web,
)

app = typer.Typer(
    name="tintype",
    help="Colour black-and-white photographs: train, serve, colorize.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tintype {__version__}")
        raise typer.Exit


@app.callback()
def _options_before_the_command(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", is_eager=True, callback=_print_version, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("evaluate")(evaluate.evaluate)
app.command("serve", cls=serve.ModelServerCommand)(serve.serve)
app.command("colorize")(colorize.colorize)
app.command("video")(video.video)
app.command("inspect")(inspect.inspect)
app.command("batch", context_settings=batch.CONTEXT)(batch.batch)
app.command("web")(web.web)
app.command("push")(push.push)
app.command("pack")(pack.pack)
app.add_typer(models.app, name="models")
app.command("export")(export.export)
app.add_typer(rollout.app, name="rollout")
app.add_typer(compile.app, name="compile")
app.add_typer(submit.app, name="submit")


# Which extra brings what a command may miss after a plain install.
_EXTRA_OF_MODULE = {
    "fastapi": "web",
    "python_multipart": "web",
    "onnxruntime": "onnx",
    "av": "video",
    "onnx": "export",
    "tf2onnx": "export",
    "ai_edge_litert": "export",
    "tensorflow": "server",
    "tensorflow_serving": "server",
    "grpc_health": "server",
    "h11": "server",
    "orjson": "server",
    "prometheus_client": "server",
    "starlette": "server",
    "uvicorn": "server",
    "tfx": "pipeline",
    "kfp": "kubeflow",
    "kfp_server_api": "kubeflow",
    "apache_beam": "batch",
    "pyarrow": "batch",
    "jinja2": "pipeline",
    "matplotlib": "pipeline",
    "pydantic": "pipeline",
    "skimage": "pipeline",
    "yaml": "pipeline",
}


def main() -> None:
    """Run the command line; what is the input's fault ends in one clear line, not in a traceback."""
    from photo.errors import TintypeError

    signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except TintypeError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        # A full disk, a folder that cannot be written: the machine's fault, and the message says where.
        _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(f"this command needs {error.name}: pip install '.[{extra}]' in a clone of Tintype")


def _end(number: int, _: object) -> NoReturn:
    """End as a program that is asked to end: what it keeps in temporary folders goes with it."""
    raise SystemExit(128 + number)


def _fail(message: str, exit_code: int = 1) -> NoReturn:
    typer.secho(f"error: {message}", fg="red", err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
