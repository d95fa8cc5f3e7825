"""The gateway runs as the manifests start it, and Prometheus and the probes find what they ask for."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from benchmarks.free_port import free_port
from tests.k8s.manifests import Manifest, build, of_kind, one, selects

pytestmark = pytest.mark.k8s
TOKEN = "correct horse battery staple"


@dataclass(frozen=True)
class RunningPod:
    """A gateway's container as a process; `ports` are where those of the manifest are on this machine."""

    container: Manifest
    ports: dict[str, int]

    def get(self, port: str, path: str, **options) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=10, **options)


@contextmanager
def running_pod(manifests: list[Manifest]) -> Iterator[RunningPod]:
    """The gateway with the manifests' flags and a token, before a model server that is away."""
    [container] = one(manifests, "Deployment", "gateway")["spec"]["template"]["spec"]["containers"]
    assert "TINTYPE_ACCESS_TOKEN" in [variable["name"] for variable in container["env"]]
    arguments = [argument for argument in container["args"] if "/client-tls/" not in argument]
    ports = {}
    for port in container["ports"]:
        ports[port["name"]] = free_port()
        [index] = [index for index, value in enumerate(arguments) if value.endswith(f"port={port['containerPort']}")]
        arguments[index] = f"{arguments[index].partition('=')[0]}={ports[port['name']]}"
    command = [sys.executable, "-m", "tintype.cli", "web", *arguments, f"--server=localhost:{free_port()}"]
    environment = {**os.environ, "TINTYPE_ACCESS_TOKEN": TOKEN}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment)
    assert process.stdout is not None
    try:
        while "the metrics are at" not in process.stdout.readline():
            assert process.poll() is None
        yield RunningPod(container, ports)
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def test_prometheus_is_let_in_as_its_monitor_says_and_probes_do_not_wait_for_the_model_server():
    manifests = build("overlays/prod")
    [monitor] = [found for found in of_kind(manifests, "ServiceMonitor") if found["metadata"]["name"] == "gateway"]
    [service] = [
        found
        for found in of_kind(manifests, "Service")
        if selects(monitor["spec"]["selector"], found["metadata"]["labels"])
    ]
    [endpoint] = monitor["spec"]["endpoints"]
    [port] = [port["targetPort"] for port in service["spec"]["ports"] if port["name"] == endpoint["port"]]
    with running_pod(manifests) as pod:
        scraped = pod.get(port, endpoint["path"])
        assert scraped.status_code == 200
        assert "tintype_web_held_bytes 0.0" in scraped.text
        assert "tintype_web_model_available 0.0" in scraped.text
        assert pod.get("http", "/metrics").status_code == 401
        # Photographs that are done stay there while the model server is away; readiness must not take them away.
        assert pod.get("http", "/readyz").status_code == 503
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = pod.container[name]["httpGet"]
            assert pod.get(probe["port"], probe["path"]).status_code == 200, name
    assert allowed_namespaces(manifests, port) == {"monitoring"}


def allowed_namespaces(manifests: list[Manifest], port: str) -> set[str]:
    """Which namespaces the network policy lets in to a port of the gateway; nobody without a namespace may be."""
    spec = one(manifests, "NetworkPolicy", "gateway")["spec"]
    return {
        source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in spec["ingress"]
        if port in [allowed["port"] for allowed in rule["ports"]]
        for source in rule["from"]
    }
