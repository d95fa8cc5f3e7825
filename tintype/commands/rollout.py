"""`tintype rollout`: which version of a model answers, and moving to the next one or back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tintype.commands.connection_options import CONNECTION, CaCert, ClientCert, ClientKey, Token, WithTls

if TYPE_CHECKING:
    from serving.rollout.rollout import Rollout, ServerStatus

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
        rich_help_panel=CONNECTION,
    ),
]
ModelName = Annotated[str, typer.Option("--model_name", "--model-name", help="The name the model is served under.")]
ConfigFile = Annotated[
    Path,
    typer.Option(
        "--model_config_file",
        "--model-config-file",
        metavar="FILE",
        envvar="TINTYPE_MODEL_CONFIG_FILE",
        show_envvar=True,
        help="The file the server was started with; it is changed, too, so that a restart keeps the labels.",
    ),
]
ConfigFileIfAny = Annotated[
    Path | None,
    typer.Option(
        "--model_config_file",
        "--model-config-file",
        metavar="FILE",
        envvar="TINTYPE_MODEL_CONFIG_FILE",
        show_envvar=True,
        help="The file the server was started with: shows its labels, version policy and history as well.",
    ),
]
LoadTimeout = Annotated[
    float, typer.Option("--load-timeout", min=0.001, help="Seconds the version may take to become AVAILABLE.")
]
Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds to wait for one answer.", rich_help_panel=CONNECTION)]
_SERVER, _MODEL = "localhost:8500", "colorizer"


@app.command()
def status(
    model_config_file: ConfigFileIfAny = None,
    model_name: ModelName = _MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    server: Servers = [_SERVER],  # noqa: B006 - typer copies it
    timeout: Timeout = 10.0,
    tls: WithTls = False,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token: Token = None,
) -> None:
    """Show the versions, their states and labels, and which one answers."""
    with _rollout(
        server, model_name, model_config_file, timeout, None, tls, (ca_cert, client_cert, client_key), token
    ) as rollout:
        statuses, policy, history = rollout.status(), rollout.policy(), rollout.history()
    if as_json:
        described = {
            "model": model_name,
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
        _show(model_name, status)
    if policy is not None:
        typer.echo(f"version policy: {policy}")
    for step in history[-3:]:
        typer.echo(f"{step.at} {step.action}: {step.before or 'none'} -> {step.after}")


@app.command()
def canary(
    version: Annotated[int, typer.Argument(min=0, help="The version to try; the stable one's number ends a trial.")],
    model_config_file: ConfigFile,
    model_name: ModelName = _MODEL,
    load_timeout: LoadTimeout = 120.0,
    server: Servers = [_SERVER],  # noqa: B006
    timeout: Timeout = 10.0,
    tls: WithTls = False,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token: Token = None,
) -> None:
    """Load a version and label it [bold]canary[/bold], for clients that send it a share of their photographs.

    tintype rollout canary 7 --model_config_file models.config

    tintype colorize album/ -o coloured --canary-share 0.05
    """
    with _rollout(
        server, model_name, model_config_file, timeout, load_timeout, tls, (ca_cert, client_cert, client_key), token
    ) as rollout:
        _conclude(rollout, f"version {rollout.canary(version)} of {model_name} is canary")


@app.command()
def promote(
    model_config_file: ConfigFile,
    version: Annotated[
        int | None,
        typer.Argument(min=0, help="Without it: the version labelled canary, else the newest available."),
    ] = None,
    model_name: ModelName = _MODEL,
    load_timeout: LoadTimeout = 120.0,
    server: Servers = [_SERVER],  # noqa: B006
    timeout: Timeout = 10.0,
    tls: WithTls = False,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token: Token = None,
) -> None:
    """Label a version [bold]stable[/bold], as soon as it is AVAILABLE.

    First the server takes the change, then the config file; if either cannot, both stay as they were.

        tintype rollout promote 7 --model_config_file models.config
    """
    with _rollout(
        server, model_name, model_config_file, timeout, load_timeout, tls, (ca_cert, client_cert, client_key), token
    ) as rollout:
        _conclude(rollout, f"version {rollout.promote(version)} of {model_name} is stable")


@app.command()
def rollback(
    model_config_file: ConfigFile,
    model_name: ModelName = _MODEL,
    load_timeout: LoadTimeout = 120.0,
    server: Servers = [_SERVER],  # noqa: B006
    timeout: Timeout = 10.0,
    tls: WithTls = False,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token: Token = None,
) -> None:
    """Give the label [bold]stable[/bold] back to the version that had it before; once more, to the one before that."""
    with _rollout(
        server, model_name, model_config_file, timeout, load_timeout, tls, (ca_cert, client_cert, client_key), token
    ) as rollout:
        _conclude(rollout, f"back to version {rollout.rollback()} of {model_name}, which is stable")


@contextmanager
def _rollout(
    servers: list[str],
    model_name: str,
    model_config_file: Path | None,
    timeout: float,
    load_timeout: float | None,
    tls: bool,
    files: tuple[Path | None, Path | None, Path | None],
    token: str | None,
) -> "Iterator[Rollout]":
    from serving.client.options import Tls
    from serving.rollout.rollout import Rollout

    settings: dict[str, Any] = {} if load_timeout is None else {"load_timeout": load_timeout}
    try:
        rollout = Rollout(
            servers,
            model_name=model_name,
            config_file=model_config_file,
            timeout=timeout,
            tls=Tls(*files) if tls or any(files) else None,
            token=token.strip() if token else None,
            tell=lambda line: typer.echo(line, err=True),
            **settings,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with rollout:
        yield rollout


def _conclude(rollout: "Rollout", line: str) -> None:
    """Say what is so now, and whom it does not reach."""
    from serving.rollout.rollout import STABLE

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
