"""Alerts ask for figures that are there, in PromQL that parses, and the document explains each."""

import re

import promql_parser
import pytest

from serving.server.monitoring import ServerMetrics
from serving.web.metrics import Metrics
from tests.k8s.manifests import ROOT, build, of_kind, one, pods, selects

pytestmark = pytest.mark.k8s

# kube-state-metrics', the kubelet's and Prometheus' own.
OF_THE_CLUSTER = {
    "up",
    "kube_deployment_status_replicas_ready",
    "kube_deployment_spec_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_cronjob_created",
    "kube_cronjob_spec_suspend",
    "kube_cronjob_status_last_successful_time",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
}


@pytest.fixture(scope="module")
def rules() -> list[dict]:
    [rule] = of_kind(build("overlays/prod"), "PrometheusRule")
    return [rule for group in rule["spec"]["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """The labels of each metric that the two servers show."""
    server, gateway = ServerMetrics(), Metrics()
    server.observe_request("colorizer", "Predict", "GRPC", "OK", 0.1)
    server.observe_load("/models/colorizer/1", 1.0, "success")
    gateway.requests.labels("/api/colorize", "POST", 200).inc()
    gateway.seconds.labels("/api/colorize").observe(1)
    gateway.photos.labels("done").inc()
    gateway.watch("held_bytes", "", lambda: 0)
    gateway.watch("model_available", "", lambda: 1)
    text = (server.exposition() + gateway.exposition()).decode()
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=\"", labels))
    return found


def test_every_alert_is_promql_of_figures_that_are_there(rules, series):
    # What Prometheus adds by itself, from the ServiceMonitor.
    of_the_target = {"namespace", "service", "pod"}
    for rule in rules:
        promql_parser.parse(rule["expr"])
        asked = re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", rule["expr"])
        assert asked, rule["alert"]
        for name, matchers in asked:
            assert name in series or name in OF_THE_CLUSTER, f"{rule['alert']}: nobody shows {name}"
            if name in series:
                labels = set(re.findall(r"(\w+)(?==~|!=|=|!~)", re.sub(r'"[^"]*"', "", matchers)))
                assert labels <= series[name] | of_the_target, f"{rule['alert']}: {name} has no {labels}"


def test_the_parser_would_tell():
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum(rate(x[5m])")


def test_alerts_say_how_bad_it_is_and_whose_and_the_document_what_to_do(rules):
    document = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["labels"]["namespace"] == "tintype"  # sums and absences have lost it
        page, anchor = rule["annotations"]["runbook_url"].split("#")
        assert page.endswith("/operations.html")
        assert anchor == rule["alert"].lower()
        assert f"\n## {rule['alert']}\n" in document


def test_alerts_name_objects_that_are_there(rules):
    manifests = [*build("overlays/prod"), *build("overlays/prod-jobs")]
    kinds = {
        "deployment": "Deployment",
        "horizontalpodautoscaler": "HorizontalPodAutoscaler",
        "service": "Service",
    }
    seen = set()
    for rule in rules:
        assert 'namespace="tintype"' in rule["expr"]
        for label, name in re.findall(r'(\w+)="([\w-]+)"', rule["expr"]):
            if label in kinds:
                assert one(manifests, kinds[label], name)
                seen.add(label)
        for pattern in re.findall(r'cronjob=~"([^"]+)"', rule["expr"]):
            by_the_clock = [job for job in of_kind(manifests, "CronJob") if not job["spec"].get("suspend")]
            assert all(re.fullmatch(pattern, job["metadata"]["name"]) for job in by_the_clock)
    assert seen == set(kinds)
    [gateway] = [pod for pod in pods(manifests) if pod.name == "Deployment/gateway"]
    [held] = re.findall(r"--max-held-megabytes=(\d+)", " ".join(gateway.spec["containers"][0]["args"]))
    [disk] = [rule["expr"] for rule in rules if rule["alert"] == "GatewayDiskNearlyFull"]
    assert f" {held} * 1048576" in disk


def test_a_prometheus_of_the_helm_chart_takes_monitors_and_rules():
    """It selects by the label `release`, whose value is the name under which the chart was installed."""
    found = [each for each in build("overlays/prod") if each["apiVersion"].startswith("monitoring.coreos.com/")]
    assert len(found) == 3
    for each in found:
        assert each["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_prometheus_asks_one_service_each_where_the_figures_are():
    manifests = build("overlays/prod")
    monitors = of_kind(manifests, "ServiceMonitor")
    assert len(monitors) == 2
    paths = {}
    for monitor in monitors:
        [service] = [
            service
            for service in of_kind(manifests, "Service")
            if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        ]
        [endpoint] = monitor["spec"]["endpoints"]
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
        paths[service["metadata"]["name"]] = endpoint["path"]
    config = of_kind(manifests, "ConfigMap")[0]["data"]["monitoring.config"]
    assert f'path: "{paths["colorizer"]}"' in config
    assert paths["gateway-metrics"] == "/metrics"
