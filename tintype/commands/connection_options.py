"""The options of every command that speaks to a server: encryption, and who is asking."""

from pathlib import Path
from typing import Annotated

import typer

CONNECTION = "Connection"  # the panel of --help that they stand in

WithTls = Annotated[
    bool, typer.Option("--tls", help="Encrypt; the options below do so, too.", rich_help_panel=CONNECTION)
]
CaCert = Annotated[
    Path | None, typer.Option(metavar="PEM", help="Authority of the server's certificate.", rich_help_panel=CONNECTION)
]
ClientCert = Annotated[
    Path | None, typer.Option(metavar="PEM", help="Certificate to show.", rich_help_panel=CONNECTION)
]
ClientKey = Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.", rich_help_panel=CONNECTION)]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="TINTYPE_TOKEN",
        show_envvar=True,
        help="Bearer token; best given by the environment.",
        rich_help_panel=CONNECTION,
    ),
]
