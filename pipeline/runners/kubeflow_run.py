"""Hands a compiled pipeline to the API server of Kubeflow Pipelines, and waits for what becomes of it."""

import contextlib
import http.client
import json
import logging
import ssl
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from photo.errors import TintypeError
from pipeline.runners.kubeflow_options import KubeflowEndpoint

SUCCEEDED = "SUCCEEDED"
_ENDS = {SUCCEEDED, "FAILED", "CANCELED", "SKIPPED"}
_CONNECT_SECONDS = 10.0
POLL_SECONDS = 5.0
# A server that is being restarted is asked again; one that stays away this often is given up.
_FAILED_POLLS = 12


class KubeflowError(TintypeError):
    """The server cannot be reached, refuses, or the pipeline cannot be given to it."""


def submit_run(
    endpoint: KubeflowEndpoint,
    pipeline: Path,
    *,
    parameters: list[str],
    experiment: str,
    run_name: str,
    pipeline_root: str | None = None,
) -> tuple[Any, str]:
    """Start a run.

    Args:
        endpoint: the server.
        pipeline: the YAML that `tintype compile kubeflow` wrote.
        parameters: as name=value.
        experiment: its name; it is made if there is none.
        run_name: what the run is called.
        pipeline_root: where artifacts are kept; None leaves it to the pipeline and the server.

    Returns:
        the client, for `wait_for_run`, and the run's id.

    Raises:
        KubeflowError: a wrong parameter, a server that is away or refuses.
    """
    arguments = parse_parameters(pipeline, parameters)
    token = read_token(endpoint)
    check_endpoint(endpoint, token)
    from kfp.client import Client, ServiceAccountTokenVolumeCredentials

    with _clear_errors(endpoint), contextlib.redirect_stdout(sys.stderr):
        client = Client(
            host=endpoint.url.rstrip("/"),
            existing_token=None if endpoint.token_file else token,
            credentials=ServiceAccountTokenVolumeCredentials(str(endpoint.token_file)) if endpoint.token_file else None,
            ssl_ca_cert=str(endpoint.ca_cert) if endpoint.ca_cert else None,
            namespace=endpoint.namespace or "kubeflow",
        )
        run = client.create_run_from_pipeline_package(
            str(pipeline),
            arguments=arguments,
            run_name=run_name,
            experiment_name=experiment,
            namespace=endpoint.namespace,
            pipeline_root=pipeline_root,
            service_account=endpoint.service_account,
        )
    return client, run.run_id


def wait_for_run(
    client: Any,
    endpoint: KubeflowEndpoint,
    run_id: str,
    *,
    timeout: float | None = None,
    tell: Callable[[str], None] = print,
) -> str:
    """Wait until a run has ended. (The KFP client's own waiting never ends for a run that was cancelled.)

    Args:
        client: of `submit_run`.
        endpoint: for messages.
        run_id: the run.
        timeout: seconds; None waits for as long as it takes.
        tell: gets a line for every change of the state.

    Returns:
        the state it ended in: SUCCEEDED, FAILED, CANCELED or SKIPPED.

    Raises:
        KubeflowError: the server stays away, or the time is up; the run goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    state, failures = "", 0
    while True:
        try:
            with _clear_errors(endpoint):
                run = client.get_run(run_id)
            failures = 0
        except KubeflowError:
            failures += 1
            if failures == _FAILED_POLLS:
                raise
        else:
            if run.state != state:
                state = run.state
                tell(f"run {run_id}: {state or 'not started yet'}")
            if state in _ENDS:
                for line in _failures(run):
                    tell(line)
                return state
        if deadline is not None and time.monotonic() > deadline:
            raise KubeflowError(f"run {run_id} has not ended after {timeout:g} s; it goes on, last seen {state!r}")
        time.sleep(POLL_SECONDS)


def parse_parameters(pipeline: Path, given: list[str]) -> dict[str, str | int | float]:
    """Read name=value by the types that a compiled pipeline declares.

    Raises:
        KubeflowError: the file is no such pipeline, a name it does not have, a wrong value, or one is missing.
    """
    declared = _declared_parameters(pipeline)
    values: dict[str, str | int | float] = {}
    for item in given:
        name, separator, value = item.partition("=")
        if not separator or not name:
            raise KubeflowError(f"--param wants name=value, got {item!r}")
        if name not in declared:
            raise KubeflowError(f"{pipeline} has no parameter {name!r}; there are {', '.join(sorted(declared))}")
        kind = {"NUMBER_INTEGER": int, "NUMBER_DOUBLE": float}.get(declared[name].get("parameterType", ""), str)
        try:
            values[name] = kind(value)
        except ValueError:
            raise KubeflowError(f"parameter {name} must be a number ({kind.__name__}), got {value!r}") from None
    missing = [
        name for name, spec in sorted(declared.items()) if name not in values and spec.get("defaultValue") is None
    ]
    if missing:
        raise KubeflowError(
            f"{pipeline} has no default for {', '.join(missing)}; give "
            + " ".join(f"--param {name}=..." for name in missing)
        )
    return values


def _declared_parameters(pipeline: Path) -> dict[str, dict[str, Any]]:
    try:
        spec = next(iter(yaml.safe_load_all(pipeline.read_text(encoding="utf-8"))), None)
    except OSError as error:
        raise KubeflowError(f"cannot read {pipeline}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        spec = None
    if not isinstance(spec, dict) or not isinstance(spec.get("root"), dict) or "pipelineInfo" not in spec:
        raise KubeflowError(f"{pipeline} is no pipeline that `tintype compile kubeflow` wrote")
    parameters: dict[str, dict[str, Any]] = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    return parameters


def read_token(endpoint: KubeflowEndpoint) -> str | None:
    """The bearer token of an endpoint, from its file or as it is.

    Raises:
        KubeflowError: the file cannot be read or is empty.
    """
    if endpoint.token_file is None:
        return endpoint.token
    try:
        token = endpoint.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KubeflowError(f"cannot read the token in {endpoint.token_file}: {error}") from None
    if not token:
        raise KubeflowError(f"the token file {endpoint.token_file} is empty")
    return token


def check_endpoint(endpoint: KubeflowEndpoint, token: str | None) -> None:
    """Ask for the server's health: the KFP client would retry for half a minute and log what nobody asked for.

    Raises:
        KubeflowError: it is away, refuses the caller, or is no Kubeflow Pipelines.
    """
    if not endpoint.url.startswith(("http://", "https://")):
        raise KubeflowError(f"the endpoint must start with http:// or https://, got {endpoint.url!r}")
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"{endpoint.url.rstrip('/')}/apis/v2beta1/healthz", headers=headers)
    try:
        context = ssl.create_default_context(cafile=str(endpoint.ca_cert) if endpoint.ca_cert else None)
        # The KFP client takes no proxy from the environment either.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=_CONNECT_SECONDS) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        raise KubeflowError(_refusal(endpoint, error.code, error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise KubeflowError(f"no Kubeflow Pipelines at {endpoint.url}: {reason}") from None
    except ValueError:
        raise KubeflowError(
            f"{endpoint.url} answers, but not as the API of Kubeflow Pipelines does: a login page, or a path missing?"
        ) from None


@contextlib.contextmanager
def _clear_errors(endpoint: KubeflowEndpoint) -> Iterator[None]:
    """Turn what the KFP client raises into a KubeflowError, and keep its warnings to itself."""
    import kfp_server_api
    import urllib3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        try:
            yield
        except kfp_server_api.ApiException as error:
            raise KubeflowError(_refusal(endpoint, error.status, _message(error))) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise KubeflowError(f"no answer from {endpoint.url}: {error}") from None


def _refusal(endpoint: KubeflowEndpoint, status: int | None, reason: str) -> str:
    if status in (401, 403):
        return f"{endpoint.url} refuses the caller ({status} {reason}): is there a token, and is it still valid?"
    return f"{endpoint.url} answers {status}: {reason}"


def _message(error: Any) -> str:
    try:
        body = json.loads(error.body)
        return str(body.get("message") or body.get("error") or error.reason)
    except (TypeError, ValueError, AttributeError):
        return str(error.reason)


def _failures(run: Any) -> list[str]:
    """A line for each thing that the server says went wrong."""
    lines = [run.error.message] if run.error and run.error.message else []
    for task in (run.run_details and run.run_details.task_details) or []:
        if task.state == "FAILED":
            lines.append(f"step {task.display_name} failed" + (f": {task.error.message}" if task.error else ""))
    return lines
