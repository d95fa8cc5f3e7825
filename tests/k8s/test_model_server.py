"""The server runs with the manifests' own flags and files, and the probes tell the truth about it."""

import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from typer.main import get_command

from photo.errors import TintypeError
from serving.client import Colorizer
from serving.client.options import ConnectionOptions, Retry, Tls
from serving.model.packing import pack
from serving.model.version_folders import versions_under
from serving.server import EmbeddedServer, ServerOptions
from serving.server.config_files import read_batching_parameters, read_metrics_path, read_model_server_config
from tests.k8s.manifests import OVERLAYS, Manifest, build, of_kind, one
from tests.tiny_models import write_tiny_model
from tintype.cli import app

pytestmark = pytest.mark.k8s

OWN_NAME = "colorizer-headless"
REFUSED = 0  # in place of a status of HTTP: the port is closed


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_files_are_what_tensorflow_serving_reads(overlay, tmp_path):
    write_config(overlay, tmp_path)
    [model] = read_model_server_config(tmp_path / "models.config").model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("colorizer", "/models/colorizer", "tensorflow")
    batching = read_batching_parameters(tmp_path / "batching.config")
    assert batching.max_batch_size == (32 if "gpu" in overlay else 8)
    container = server_container(overlay)
    assert container["livenessProbe"]["httpGet"]["path"] == read_metrics_path(tmp_path / "monitoring.config")
    if "prod" in overlay:
        loaded = set(model.model_version_policy.specific.versions)
        assert set(model.version_labels.values()) <= loaded
        assert set(model.version_labels) == {"stable"}


@pytest.mark.slow
def test_a_pod_is_ready_when_a_version_is_available_and_not_while_one_fails(tiny_model, tmp_path):
    """The ports open when every model has a version; afterwards the status itself answers 200 in every state."""
    flags = server_flags("overlays/local", tmp_path)
    base_path = tmp_path / "models" / "colorizer"
    (base_path / "1").mkdir(parents=True)
    (base_path / "1" / "saved_model.pb").write_bytes(b"no model")
    with EmbeddedServer(ServerOptions(**flags)) as server:
        ask = httpx.Client(base_url=f"http://127.0.0.1:{server.rest_api_port}", timeout=20)
        container = server_container("overlays/local")
        wait_until(lambda: any(version.error_message for version in server.statuses()))
        assert probe(ask, container, "startupProbe") == probe(ask, container, "readinessProbe") == REFUSED

        shutil.copytree(tiny_model, tmp_path / "incoming")
        (tmp_path / "incoming").rename(base_path / "2")
        server.wait_until_available(60, version=2)
        assert probe(ask, container, "startupProbe") == probe(ask, container, "readinessProbe") == 200
        assert probe(ask, container, "livenessProbe") == 200


@pytest.mark.slow
def test_in_production_clients_with_a_certificate_are_answered_by_the_stable_version(tiny_model, tmp_path):
    certificates = write_certificates(tmp_path / "tls")
    (tmp_path / "ssl").mkdir()
    [writer] = colorizer("overlays/prod")["initContainers"]
    subprocess.run(
        [*writer["command"], *writer["args"]],
        env={"PATH": "/usr/bin:/bin", "TLS": str(tmp_path / "tls"), "OUT": str(tmp_path / "ssl")},
        check=True,
        timeout=20,
    )
    assert (tmp_path / "ssl" / "ssl.config").stat().st_mode & 0o077 == 0
    base_path = tmp_path / "models" / "colorizer"
    base_path.mkdir(parents=True)
    flags = server_flags("overlays/prod", tmp_path)
    with EmbeddedServer(ServerOptions(**flags)) as server:
        ask = httpx.Client(base_url=f"http://127.0.0.1:{server.rest_api_port}", timeout=20)
        container = server_container("overlays/prod")
        assert probe(ask, container, "readinessProbe") == REFUSED
        shutil.copytree(tiny_model, tmp_path / "incoming")
        (tmp_path / "incoming").rename(base_path / "1")
        server.wait_until_available(60, version=1)
        assert probe(ask, container, "readinessProbe") == probe(ask, container, "startupProbe") == 200

        address, gray = f"localhost:{server.port}", np.full((40, 60), 128, np.uint8)
        tls = Tls(certificates / "ca.crt", certificates / "client.crt", certificates / "client.key", OWN_NAME)
        with Colorizer(address, ConnectionOptions(tls=tls, version_label="stable")) as client:
            assert np.ptp(client.colorize(gray).astype(int), axis=-1).max() > 0
        stranger = Tls(certificates / "ca.crt", server_name=OWN_NAME)
        with (
            Colorizer(address, ConnectionOptions(tls=stranger, timeout=3, retry=Retry(max_attempts=1))) as client,
            pytest.raises(TintypeError),
        ):
            client.colorize(gray)


@pytest.mark.slow
def test_an_empty_cluster_gets_the_version_that_production_serves_and_keeps_what_it_has(tiny_model, tmp_path):
    pack(tiny_model, tmp_path / "generator.zip")
    [container] = one(build("overlays/prod"), "Job", "seed-model")["spec"]["template"]["spec"]["containers"]
    base_path = tmp_path / "models" / "colorizer"
    command = [sys.executable, "-m", "tintype.cli", *container["command"][1:]]
    command += [value.replace("/models/", f"{tmp_path}/models/") for value in container["args"]]
    environment = {
        **os.environ,
        "TINTYPE_GENERATOR": f"{tmp_path}/generator.zip",
        "XDG_CACHE_HOME": f"{tmp_path}/cache",
    }
    for said in (f"pushed {base_path}/1", f"{base_path} has version 1 already"):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr
    assert list(versions_under(str(base_path))) == [1]
    write_config("overlays/prod", tmp_path)
    [model] = read_model_server_config(tmp_path / "models.config").model_config_list.config
    assert model.version_labels["stable"] == 1


def colorizer(overlay: str) -> Manifest:
    return one(build(overlay), "Deployment", "colorizer")["spec"]["template"]["spec"]


def server_container(overlay: str) -> Manifest:
    [container] = colorizer(overlay)["containers"]
    return container


def write_config(overlay: str, folder: Path) -> None:
    [config] = of_kind(build(overlay), "ConfigMap")
    for name, text in config["data"].items():
        (folder / name).write_text(text)


def server_flags(overlay: str, folder: Path) -> dict[str, Any]:
    """The container's flags for an embedded server on free ports, its mounts being folders below `folder`."""
    write_config(overlay, folder)
    models = folder / "models.config"
    models.write_text(models.read_text().replace('"/models/', f'"{folder}/models/'))
    (folder / "models").mkdir(exist_ok=True)
    values = []
    for value in server_container(overlay)["args"]:
        value = value.replace("$(PROCESSORS)", "0").replace("/etc/tensorflow-serving", str(folder))
        values.append(value.replace("=/ssl/", f"={folder}/ssl/"))
    command = get_command(app).commands["serve"]
    context = command.make_context("serve", values)
    flags = {
        name.removeprefix("options_"): value
        for name, value in context.params.items()
        if context.get_parameter_source(name).name == "COMMANDLINE"
    }
    for name in (
        "enable_batching",
        "enable_model_warmup",
        "allow_version_labels_for_unavailable_models",
        "enable_serialization_as_tensor_content",
        "keep_last_version",
    ):
        assert flags[name] is True
    # Free ports, and quick looks at the folder.
    return flags | {"port": 0, "rest_api_port": 0, "host": "127.0.0.1", "file_system_poll_wait_seconds": 0.1}


def probe(ask: httpx.Client, container: Manifest, name: str) -> int:
    try:
        return ask.get(container[name]["httpGet"]["path"]).status_code
    except httpx.ConnectError:
        return REFUSED


def wait_until(happened: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def write_certificates(folder: Path) -> Path:
    """tls.key and tls.crt for the server, client.key and client.crt, and the ca.crt of both."""
    folder.mkdir()

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority")
    for name, host in (("tls", OWN_NAME), ("client", "client")):
        openssl(
            "req", "-x509", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={host}",
            "-CA", "ca.crt", "-CAkey", "ca.key", "-addext", f"subjectAltName=DNS:{host}",
            "-addext", "basicConstraints=critical,CA:FALSE",
        )  # fmt: skip
    ssl.create_default_context(cafile=folder / "ca.crt")
    return folder
