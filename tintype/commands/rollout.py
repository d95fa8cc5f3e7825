"""`tintype rollout`: which version of a model answers, and moving to the next one or back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.client.options import ConnectionOptions
from tintype.command_options import Options, expand_options

if TYPE_CHECKING:
    from serving.rollout.rollout import Rollout
    from serving.rollout.server_status import ServerStatus

app = typer.Typer(
    help="See which version of a model answers, try a new one on a share of the traffic, promote it, roll it back.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Servers = Annotated[
    list[str],
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        envvar="TINTYPE_SERVER",
        help="The server's gRPC port; once for each server that shares the config file.",
        rich_help_panel="Connection",
    ),
]
_CONFIG_FILE_FLAGS = ("--model_config_file", "--model-config-file")
_CONFIG_FILE_VARIABLE = "TINTYPE_MODEL_CONFIG_FILE"
ConfigFile = Annotated[
    Path,
    typer.Option(
        *_CONFIG_FILE_FLAGS,
        metavar="FILE",
        envvar=_CONFIG_FILE_VARIABLE,
        show_envvar=True,
        help="The file the server was started with; it is changed, too, so that a restart keeps the labels.",
    ),
]
ConfigFileIfAny = Annotated[
    Path | None,
    typer.Option(
        *_CONFIG_FILE_FLAGS,
        metavar="FILE",
        envvar=_CONFIG_FILE_VARIABLE,
        show_envvar=True,
        help="The file the server was started with: shows its labels, version policy and history as well.",
    ),
]
LoadTimeout = Annotated[
    float, typer.Option("--load-timeout", min=0.001, help="Seconds the version may take to become AVAILABLE.")
]
Connection = Annotated[
    ConnectionOptions,
    Options(
        "model_name",
        "timeout",
        "tls",
        "token",
        model_name={
            "help": "The name the model is served under.",
            "flag": ("--model_name", "--model-name"),
            "panel": None,
        },
    ),
]
_SERVERS = ["localhost:8500"]
_CONNECTION = ConnectionOptions(timeout=10.0)
_LOAD_SECONDS = 120.0


@app.command()
@expand_options
def status(
    model_config_file: ConfigFileIfAny = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    server: Servers = _SERVERS,
    connection: Connection = _CONNECTION,
) -> None:
    """Show the versions, their states and labels, and which one answers."""
    with _rollout(server, connection, model_config_file) as rollout:
        statuses, policy, history = rollout.status(), rollout.policy(), rollout.history()
    if as_json:
        described = {
            "model": connection.model_name,
            "servers": [
                {
                    "server": status.server,
                    "answers_without_label": status.without_label,
                    "labels": status.labels,
                    "versions": [vars(version) for version in status.versions],
                }
                for status in statuses
            ],
            "version_policy": policy,
            "history": [vars(step) for step in history],
        }
        typer.echo(json.dumps(described, indent=2))
        return
    for status in statuses:
        _show(connection.model_name, status)
    if policy is not None:
        typer.echo(f"version policy: {policy}")
    for step in history[-3:]:
        typer.echo(f"{step.at} {step.action}: {step.before or 'none'} -> {step.after}")


@app.command()
@expand_options
def canary(
    version: Annotated[int, typer.Argument(min=0, help="The version to try; the stable one's number ends a trial.")],
    model_config_file: ConfigFile,
    load_timeout: LoadTimeout = _LOAD_SECONDS,
    server: Servers = _SERVERS,
    connection: Connection = _CONNECTION,
) -> None:
    """Load a version and label it [bold]canary[/bold], for clients that send it a share of their photographs.

    tintype rollout canary 7 --model_config_file models.config

    tintype colorize album/ -o coloured --canary-share 0.05
    """
    with _rollout(server, connection, model_config_file, load_timeout) as rollout:
        _conclude(rollout, f"version {rollout.canary(version)} of {connection.model_name} is canary")


@app.command()
@expand_options
def promote(
    model_config_file: ConfigFile,
    version: Annotated[
        int | None,
        typer.Argument(min=0, help="Without it: the version labelled canary, else the newest available."),
    ] = None,
    load_timeout: LoadTimeout = _LOAD_SECONDS,
    server: Servers = _SERVERS,
    connection: Connection = _CONNECTION,
) -> None:
    """Label a version [bold]stable[/bold], as soon as it is AVAILABLE.

    First the server takes the change, then the config file; if either cannot, both stay as they were.

        tintype rollout promote 7 --model_config_file models.config
    """
    with _rollout(server, connection, model_config_file, load_timeout) as rollout:
        _conclude(rollout, f"version {rollout.promote(version)} of {connection.model_name} is stable")


@app.command()
@expand_options
def rollback(
    model_config_file: ConfigFile,
    load_timeout: LoadTimeout = _LOAD_SECONDS,
    server: Servers = _SERVERS,
    connection: Connection = _CONNECTION,
) -> None:
    """Give the label [bold]stable[/bold] back to the version that had it before; once more, to the one before that."""
    with _rollout(server, connection, model_config_file, load_timeout) as rollout:
        _conclude(rollout, f"back to version {rollout.rollback()} of {connection.model_name}, which is stable")


@contextmanager
def _rollout(
    servers: list[str], connection: ConnectionOptions, config_file: Path | None, load_timeout: float = _LOAD_SECONDS
) -> "Iterator[Rollout]":
    from serving.rollout.rollout import Rollout

    try:
        rollout = Rollout(
            servers,
            connection,
            config_file=config_file,
            load_timeout=load_timeout,
            tell=lambda line: typer.echo(line, err=True),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with rollout:
        yield rollout


def _conclude(rollout: "Rollout", line: str) -> None:
    """Say what is so now, and whom it does not reach."""
    from serving.rollout.change import STABLE

    typer.echo(line)
    for status in rollout.status():
        stable = status.labels.get(STABLE)
        if stable is not None and status.without_label != stable:
            typer.echo(
                f"{status.server}: requests without a label go to version {status.without_label}, the newest "
                "available: let clients ask for stable",
                err=True,
            )


def _show(model_name: str, status: "ServerStatus") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"{model_name} at {status.server}"), title_justify="left")
    for column in ("version", "state", "answers requests for"):
        table.add_column(column, justify="right" if column == "version" else "left")
    for version in status.versions:
        answers = sorted(label for label, number in status.labels.items() if number == version.version)
        answers += ["no label"] if status.without_label == version.version else []
        state = f"{version.state}: {version.error}" if version.error else version.state
        table.add_row(str(version.version), escape(state), escape(", ".join(answers)))
    Console().print(table)
