"""Every object is what Kubernetes and the operators accept: no unknown field, no wrong type, nothing left out."""

import json
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.external_tools import Tool
from tests.k8s.manifests import JOBS, OVERLAYS, ROOT, Manifest, build, production_with

pytestmark = pytest.mark.k8s
VERSIONS = ("1.34", "1.37")
SCHEMAS = ROOT / "build" / "k8s-schemas"
OPERATORS = ("cert-manager.io/", "gateway.networking.k8s.io/", "flink.apache.org/", "monitoring.coreos.com/")


def test_kubernetes_accepts_every_object(monkeypatch):
    # The definitions of a version, a megabyte, would be read anew for every object.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
    seen = distinct(lambda manifest: not manifest["apiVersion"].startswith(OPERATORS))
    assert {"Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "CronJob"} <= kinds(seen)
    for version in VERSIONS:
        for manifest in seen:
            try:
                assert kubernetes_validate.validate(manifest, version, strict=True) == version
            except kubernetes_validate.ValidationError as error:
                pytest.fail(f"{version} {named(manifest)}: {'.'.join(map(str, error.path))}: {error.message}")


def test_the_operators_accept_theirs():
    seen = distinct(lambda manifest: manifest["apiVersion"].startswith(OPERATORS))
    assert kinds(seen) == {"Gateway", "HTTPRoute", "FlinkDeployment", "ServiceMonitor", "PrometheusRule"}
    for manifest in seen:
        validator = operator_schema(manifest["kind"], manifest["apiVersion"])
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]
        assert not errors, f"{named(manifest)}: {errors}"


def test_cert_manager_accepts_the_certificates(tmp_path):
    found = [
        each for each in production_with(tmp_path, "components/cert-manager") if "cert-manager" in each["apiVersion"]
    ]
    assert kinds(found) == {"Certificate", "Issuer"}
    for manifest in found:
        errors = list(operator_schema(manifest["kind"], manifest["apiVersion"]).iter_errors(manifest))
        assert not errors, f"{named(manifest)}: {errors}"


def test_the_schemas_of_the_operators_find_what_is_wrong():
    validator = operator_schema("FlinkDeployment", "flink.apache.org/v1beta1")
    [manifest] = [manifest for manifest in build("jobs/batch") if manifest["kind"] == "FlinkDeployment"]
    wrong = json.loads(json.dumps(manifest))
    wrong["spec"]["taskManager"]["podTemplate"]["spec"]["container"] = []
    assert "container" in str(next(validator.iter_errors(wrong)).message)


def distinct(wanted) -> list[Manifest]:
    found = {
        json.dumps(manifest, sort_keys=True): manifest for folder in (*OVERLAYS, *JOBS) for manifest in build(folder)
    }
    return [manifest for manifest in found.values() if wanted(manifest)]


def kinds(manifests: list[Manifest]) -> set[str]:
    return {manifest["kind"] for manifest in manifests}


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


@cache
def operator_schema(kind: str, api_version: str) -> jsonschema.Draft202012Validator:
    """The schema in an operator's definition of its kind, made strict as `kubectl apply --validate=strict` is."""
    path = SCHEMAS / f"{kind.lower()}s.yaml"
    if not path.exists():
        told = SCHEMAS / "missing"
        missing = told.read_text().strip() if told.exists() else "it has not been run"
        Tool("the operators' schemas", "scripts/k8s_tools.sh", lambda: missing).require()
    definition = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    assert definition["spec"]["names"]["kind"] == kind
    group, version = api_version.split("/")
    assert definition["spec"]["group"] == group
    [found] = [entry for entry in definition["spec"]["versions"] if entry["name"] == version and entry["served"]]
    schema = found["schema"]["openAPIV3Schema"]
    # Kubernetes' own, whatever the definition says of them.
    schema["properties"] |= {"metadata": {"type": "object"}, "apiVersion": {}, "kind": {}}
    make_strict(schema)
    return jsonschema.Draft202012Validator(schema)


def make_strict(schema: Any) -> None:
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for child in schema.get("properties", {}).values():
        make_strict(child)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            make_strict(schema[key])
