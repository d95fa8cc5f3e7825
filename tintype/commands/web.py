"""`tintype web`: the page and its HTTP API before a model server, or with one of its own beside it."""

import logging
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from serving.server.options import ServerOptions
from serving.server.process import server_process
from tintype.commands.connection_options import CONNECTION, CaCert, ClientCert, ClientKey, Token, WithTls

_LIMITS, _PRIVACY = "Limits", "Privacy and access"
_MODEL_SERVER_START_SECONDS = 60.0
_MODEL_SERVER_STOP_SECONDS = 40.0  # a little more than it gives its own requests


def web(
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            envvar="TINTYPE_SERVER",
            help="The model server's gRPC port; dns:///HOST:PORT takes all servers of that name in turn.",
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of --server: a SavedModel, or a folder of versions, for an embedded server beside the page. "
            "[default: the generator that comes with Tintype]",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to bind; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port; 0 takes a free one.")] = 8080,
    model_name: Annotated[
        str, typer.Option(help="The name the server serves the model under.", rich_help_panel=CONNECTION)
    ] = "colorizer",
    label: Annotated[
        str | None, typer.Option(help="Ask the version with this label.", rich_help_panel=CONNECTION)
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds to wait for the colour of a photo.", rich_help_panel=CONNECTION)
    ] = 30.0,
    tls: WithTls = False,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token: Token = None,
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, help="Largest file, in MB of 2^20 bytes.", rich_help_panel=_LIMITS)
    ] = 40,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=200, help="Largest photo.", rich_help_panel=_LIMITS)
    ] = 50,
    max_photos: Annotated[int, typer.Option(min=1, help="Photos in one job.", rich_help_panel=_LIMITS)] = 50,
    max_held_megabytes: Annotated[
        int, typer.Option(min=1, help="Files kept on disk, together.", rich_help_panel=_LIMITS)
    ] = 4096,
    max_requests: Annotated[int, typer.Option(min=1, help="Requests at a time.", rich_help_panel=_LIMITS)] = 64,
    max_requests_per_client: Annotated[
        int, typer.Option(min=1, help="Requests of one address at a time.", rich_help_panel=_LIMITS)
    ] = 16,
    upload_seconds: Annotated[
        float, typer.Option(min=1, help="For the whole of an upload.", rich_help_panel=_LIMITS)
    ] = 600,
    stall_seconds: Annotated[
        float, typer.Option(min=1, help="In which something of it must come.", rich_help_panel=_LIMITS)
    ] = 20,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="That work on pixels; two more than processors if not given.", rich_help_panel=_LIMITS
        ),
    ] = None,
    keep_minutes: Annotated[
        float, typer.Option(min=0, help="Photos are deleted so long after the last request.", rich_help_panel=_PRIVACY)
    ] = 30,
    keep_minutes_after_download: Annotated[
        float, typer.Option(min=0, help="Once all results were downloaded; 0: at once.", rich_help_panel=_PRIVACY)
    ] = 5,
    access_token: Annotated[
        str | None,
        typer.Option(
            envvar="TINTYPE_ACCESS_TOKEN",
            help="What callers must show; best given by the environment. Without one everybody may come in.",
            rich_help_panel=_PRIVACY,
        ),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="A proxy, or network of them, whose X-Forwarded-For is believed; may be repeated.",
            rich_help_panel=_PRIVACY,
        ),
    ] = None,
) -> None:
    """Serve a page to colour photographs on, and an HTTP API; its description is at /docs.

    With an embedded model server beside it, for the generator that comes with Tintype or for a model of your own; or
    before a server that runs:

        tintype web --port 8080

        tintype web --model runs/tintype_lab/serving/colorizer

        tintype web --server localhost:8500
    """
    if server is not None and model is not None:
        raise typer.BadParameter("expected --server HOST:PORT or --model DIR, received both", param_hint="'--server'")
    if model is not None and not model.is_dir():
        raise typer.BadParameter(f"no such folder: {model}", param_hint="'--model'")

    from photo.errors import TintypeError
    from serving.client.options import Tls
    from serving.listening_socket import listening_socket
    from serving.web.bounded_colorizer import connect
    from serving.web.server import WebServer
    from serving.web.settings import Limits, WebSettings

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("serving.web")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    limits = Limits(
        photo_bytes=round(max_megabytes * 2**20),
        pixels=round(max_megapixels * 1_000_000),
        photos=max_photos,
        held_bytes=max_held_megabytes * 2**20,
        requests=max_requests,
        requests_per_client=max_requests_per_client,
        upload_seconds=upload_seconds,
        stall_seconds=stall_seconds,
        photo_seconds=timeout,
        **({} if threads is None else {"threads": threads}),
    )
    with ExitStack() as stack:
        address, beside = server or "", None
        if server is None:
            beside = stack.enter_context(
                server_process(ServerOptions(model_name, model), patience=_MODEL_SERVER_STOP_SECONDS)
            )
            address = beside.address
        try:
            settings = WebSettings(
                limits,
                keep_seconds=60 * keep_minutes,
                keep_after_download_seconds=60 * keep_minutes_after_download,
                access_token=access_token.strip() if access_token else None,
                trusted_proxies=tuple(trusted_proxy or ()),
            )
            encryption = Tls(ca_cert, client_cert, client_key) if tls or ca_cert or client_cert or client_key else None
            options: dict[str, Any] = {
                "model_name": model_name,
                "version_label": label,
                "tls": encryption,
                "token": token.strip() if token else None,
                "starting_seconds": 0.0 if beside is None else _MODEL_SERVER_START_SECONDS,
            }
            connect(address, limits, **options)  # what is wrong with them is said before anything is bound
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        listener = listening_socket(host, port, "the page")
        gateway = WebServer(settings, lambda: connect(address, limits, **options), listener, owns_process=True)
        # uvicorn stops at these by itself, then raises them once more: unhandled they would end this process before it
        # has ended the model server.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: gateway.stop())
        shown = f"[{host}]" if ":" in host else host
        asked = server or model or "the generator that comes with Tintype"
        logger.info("the page is at http://%s:%d, asking %s", shown, listener.getsockname()[1], asked)
        with listener:
            if beside is not None:
                beside.watch(gateway.stop)
            gateway.run()
        if beside is not None and beside.has_ended:
            raise TintypeError(f"the embedded server for {asked} ended by itself; its lines above say why")
