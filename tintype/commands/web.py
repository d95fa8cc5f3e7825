"""`tintype web`: the page and its HTTP API before a model server, or with one of its own beside it."""

import dataclasses
import logging
import os
import signal
import sys
import threading
import webbrowser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photo.credentials import check
from serving.client.options import ConnectionOptions
from serving.server.options import ServerOptions
from serving.web.settings import Limits, WebSettings
from tintype.command_options import Options, expand_options
from tintype.engines import Engine, EngineOption, check_engine, is_installed, takes_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.server.process import ServerProcess
    from serving.web.bounded_colorizer import BoundedColorizer

_MODEL_SERVER_START_SECONDS = 60.0
_MODEL_SERVER_STOP_SECONDS = 40.0  # a little more than it gives its own requests

Server = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="TINTYPE_SERVER",
        help="The model server's gRPC port; dns:///HOST:PORT takes all servers of that name in turn.",
        rich_help_panel="Connection",
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Instead of --server: a SavedModel, or a folder of versions, for an embedded server beside the page; or a "
        "folder of ONNX that `tintype export` wrote. [default: the generator that comes with Tintype]",
        show_default=False,
        rich_help_panel="Connection",
    ),
]

Browser = Annotated[
    bool | None,
    typer.Option(
        "--browser/--no-browser",
        help="Open the page in this machine's browser. [default: where somebody sits before it]",
        show_default=False,
    ),
]


@expand_options
def web(
    server: Server = None,
    model: Model = None,
    engine: EngineOption = Engine.AUTO,
    host: Annotated[str, typer.Option(help="Address to bind; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port; 0 takes a free one.")] = 8080,
    browser: Browser = None,
    connection: Annotated[
        ConnectionOptions,
        Options(
            "model_name", "version_label", "canary_share", "timeout", "tls", "token",
            timeout={"help": "Seconds to wait for the colour of a photo."},
        ),
    ] = ConnectionOptions(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
    settings: WebSettings = WebSettings(),  # noqa: B008 - frozen
) -> None:  # fmt: skip
    """Serve a page to colour photographs on, and an HTTP API; its description is at /docs.

    With an embedded model server beside it, for the generator that comes with Tintype or for a model of your own; or
    before a server that runs:

        tintype web --port 8080

        tintype web --model runs/tintype_lab/serving/colorizer

        tintype web --server localhost:8500
    """
    _check_usage(server, model, connection)
    check_engine(engine, server)
    settings = dataclasses.replace(settings, limits=limits)

    from serving.server.process import server_process
    from serving.web.bounded_colorizer import connect

    connect_to = partial(connect, limits=limits, connection=connection)
    opens_browser = _somebody_sits_here() if browser is None else browser
    serve_page = partial(_serve_page, settings, host, port, opens_browser)
    if server is not None:
        serve_page(partial(connect_to, server), asked=server)
        return
    if _is_asked_in_process(model, engine):
        from serving.model.onnx_model import OnnxModel

        loaded = OnnxModel(model)
        serve_page(partial(connect_to, loaded), asked=f"{loaded.source}, in this process")
        return
    asked = str(model or "the generator that comes with Tintype")
    with server_process(ServerOptions(connection.model_name, model), patience=_MODEL_SERVER_STOP_SECONDS) as beside:
        connect_beside = partial(connect_to, beside.address, starting_seconds=_MODEL_SERVER_START_SECONDS)
        serve_page(connect_beside, asked, beside)


def _is_asked_in_process(model: Path | None, engine: Engine) -> bool:
    """With TensorFlow the page offers several colourings, so that one is preferred where it is installed."""
    if model is None or engine is not Engine.AUTO:
        return takes_onnx(engine, prefers_tensorflow=is_installed("tensorflow"))
    return any(model.glob("*.onnx"))


def _check_usage(server: str | None, model: Path | None, connection: ConnectionOptions) -> None:
    """Refuse options that do not go together."""
    if server is not None and model is not None:
        raise typer.BadParameter("expected --server HOST:PORT or --model DIR, received both", param_hint="'--server'")
    if server is None and connection.canary_share:
        raise typer.BadParameter("needs --server, whose versions have labels", param_hint="'--canary-share'")
    if model is not None and not model.is_dir():
        raise typer.BadParameter(f"no such folder: {model}", param_hint="'--model'")


def _serve_page(
    settings: WebSettings,
    host: str,
    port: int,
    opens_browser: bool,
    connect: "Callable[[], BoundedColorizer]",
    asked: str,
    beside: "ServerProcess | None" = None,
) -> None:
    """Serve until a signal comes, or the model server beside the page ends by itself; `asked` names who colours."""
    from photo.errors import TintypeError
    from serving.listening_socket import listening_socket
    from serving.web.server import WebServer

    check(settings.credentials)
    try:
        connect()  # what is wrong with it is said before anything is bound
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    logger = _logger_to_stdout()
    listener = listening_socket(host, port, "the page")
    gateway = WebServer(settings, connect, listener, owns_process=True)
    is_stopping = False

    def end(*_: object) -> None:
        nonlocal is_stopping
        if is_stopping:  # asked a second time: the model server ends with this process
            raise SystemExit(130)
        is_stopping = True
        gateway.stop()

    # uvicorn stops at these by itself, then raises them once more: unhandled they would end this process before it
    # has ended the model server.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    logger.info("the page is at %s, asking %s", address, asked)
    if opens_browser:
        # In a thread: one that runs in the terminal returns when it is left. The port listens already.
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
    with listener:
        if beside is not None:
            beside.watch(gateway.stop)
        gateway.run()
    if beside is not None and beside.has_ended:
        raise TintypeError(f"the embedded server for {asked} ended by itself; its lines above say why")


def _somebody_sits_here() -> bool:
    """Whether this runs in a terminal of a machine with a screen, not in a service, a container or over SSH."""
    has_screen = sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return sys.stdout.isatty() and has_screen and "SSH_CONNECTION" not in os.environ


def _logger_to_stdout() -> logging.Logger:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger("photo").addHandler(handler)  # of a photograph that met an unexpected error
    logger = logging.getLogger("serving.web")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return logger
