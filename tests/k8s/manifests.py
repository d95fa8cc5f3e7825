"""Builds what is in k8s/ with the real kustomize, and walks through the objects."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.external_tools import KUSTOMIZE, kustomize

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"

# What people apply, and what lies in one cluster together.
OVERLAYS = ("overlays/local", "overlays/gpu", "overlays/prod")
JOBS = ("jobs/seed", "jobs/demo", "jobs/training", "jobs/batch", "jobs/nightly", "overlays/prod-jobs")
CLUSTERS = {
    "local": ("overlays/local",),
    "gpu": ("overlays/gpu", "jobs/demo", "jobs/training", "jobs/batch", "jobs/nightly"),
    "prod": ("overlays/prod", "jobs/training", "overlays/prod-jobs"),
}

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod that an object makes.

    Attributes:
        name: of the object, for messages.
        labels: of the pod.
        spec: of the pod.
        outside: resources of a container that stand outside its description, by the container's name.
    """

    name: str
    labels: dict[str, str]
    spec: Manifest
    outside: dict[str, Manifest]

    def containers(self) -> Iterator[Manifest]:
        yield from self.spec.get("initContainers", [])
        yield from self.spec["containers"]


def build(folder: str) -> list[Manifest]:
    """The objects of a folder of k8s/, or of one elsewhere by its whole path."""
    KUSTOMIZE.require()
    command = kustomize()
    assert command is not None
    return _built(tuple(command), folder)


@cache
def _built(command: tuple[str, ...], folder: str) -> list[Manifest]:
    done = subprocess.run([*command, str(K8S / folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # what kustomize warns of, it will refuse one day
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def production_with(folder: Path, component: str) -> list[Manifest]:
    """Production with one component more, put together in a folder."""
    prod, added = (os.path.relpath(K8S / name, folder) for name in ("overlays/prod", component))
    overlay = {"resources": [prod], "components": [added], "namespace": "tintype"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return build(str(folder))


def cluster(name: str) -> list[Manifest]:
    """All that lies in one cluster together."""
    return [manifest for folder in CLUSTERS[name] for manifest in build(folder)]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    [found] = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found


def pods(manifests: list[Manifest]) -> list[Pod]:
    return [pod for manifest in manifests for pod in _pods_of(manifest)]


def _pods_of(manifest: Manifest) -> Iterator[Pod]:
    name, spec = f"{manifest['kind']}/{manifest['metadata']['name']}", manifest.get("spec", {})
    match manifest["kind"]:
        case "Deployment" | "Job":
            templates = {name: (spec["template"], {})}
        case "CronJob":
            templates = {name: (spec["jobTemplate"]["spec"]["template"], {})}
        case "FlinkDeployment":
            templates = {
                f"{name}/{role}": (
                    spec[role]["podTemplate"],
                    {"flink-main-container": {"image": spec["image"], "limits": spec[role]["resource"]}},
                )
                for role in ("jobManager", "taskManager")
            }
        case _:
            return
    for name, (template, outside) in templates.items():
        yield Pod(name, template["metadata"]["labels"], template["spec"], outside)


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector, of which only matchLabels are used here, selects these labels."""
    assert set(selector) <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()


def arguments(container: Manifest) -> list[str]:
    return [*container.get("command", []), *container.get("args", [])]
