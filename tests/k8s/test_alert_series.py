"""Each alert fires on the series it is for and is silent on a cluster that is well, says Prometheus' promtool."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.external_tools import PROMTOOL, promtool
from tests.k8s.manifests import build, of_kind

pytestmark = pytest.mark.k8s

REQUESTS = ':tensorflow:serving:request_count{namespace="tintype", model_name="colorizer", status="%s"}'
LATENCY = ':tensorflow:serving:request_latency_bucket{namespace="tintype", API="Predict", le="%s"}'
LOADS = (
    ':tensorflow:cc:saved_model:load_attempt_count{namespace="tintype", pod="a", model_path="/models/1", status="%s"}'
)
UP = 'up{namespace="tintype", service="%s", pod="%s"}'
ANSWERS = 'tintype_web_requests_total{namespace="tintype", route="%s", status="%s"}'
SECONDS = 'tintype_web_request_seconds_bucket{namespace="tintype", route="/api/colorize", le="%s"}'
PHOTOS = 'tintype_web_photos_total{namespace="tintype", outcome="%s"}'
MODEL = 'tintype_web_model_available{namespace="tintype", pod="a"}'
HELD = 'tintype_web_held_bytes{namespace="tintype", pod="a"}'
DEPLOYMENT = 'kube_deployment_%s{namespace="tintype", deployment="colorizer"}'
SCALER = 'kube_horizontalpodautoscaler_%s{namespace="tintype", horizontalpodautoscaler="colorizer"}'
NIGHT = 'kube_cronjob_%s{namespace="tintype", cronjob="nightly-batch"}'
VOLUME = 'kubelet_volume_stats_%s{namespace="tintype", persistentvolumeclaim="models"}'

# A cluster that is well: a sample a minute, asked in the sixtieth.
MINUTE = "60m"
WELL = {
    UP % ("colorizer", "a"): "1x90",
    UP % ("colorizer", "b"): "1x90",
    UP % ("gateway-metrics", "a"): "1x90",
    MODEL: "1x90",
    REQUESTS % "OK": "0+600x90",
    LATENCY % "1e6": "0+600x90",
    LATENCY % "+Inf": "0+600x90",
    LOADS % "success": "1x90",
    ANSWERS % ("/api/colorize", "200"): "0+600x90",
    SECONDS % "5": "0+600x90",
    SECONDS % "+Inf": "0+600x90",
    PHOTOS % "done": "0+600x90",
    HELD: "1000x90",
    DEPLOYMENT % "status_replicas_ready": "2x90",
    DEPLOYMENT % "spec_replicas": "2x90",
    SCALER % "status_current_replicas": "2x90",
    SCALER % "spec_max_replicas": "10x90",
    NIGHT % "created": "0x90",
    NIGHT % "spec_suspend": "0x90",
    NIGHT % "status_last_successful_time": "0+60x90",
    VOLUME % "available_bytes": "50x90",
    VOLUME % "capacity_bytes": "100x90",
}
GONE = None


class Case(NamedTuple):
    """An alert, and what differs from a cluster that is well (GONE: the series is not there)."""

    alert: str
    differs: dict[str, str | None]


NEVER_SUCCEEDED = {NIGHT % "status_last_successful_time": GONE, NIGHT % "created": "-140000x90"}
CASES = (
    Case("ColorizerDown", {UP % ("colorizer", "a"): "0x90", UP % ("colorizer", "b"): "0x90"}),
    Case("ColorizerNotScraped", {UP % ("colorizer", "a"): GONE, UP % ("colorizer", "b"): GONE}),
    Case("ColorizerReplicasMissing", {DEPLOYMENT % "status_replicas_ready": "1x90"}),
    Case("ColorizerModelLoadFailed", {LOADS % "failure": "0x50 1x40"}),
    Case("ColorizerErrors", {REQUESTS % "INTERNAL": "0+30x90"}),
    Case("ColorizerOverloaded", {REQUESTS % "UNAVAILABLE": "0+60x90"}),
    Case("ColorizerSlow", {LATENCY % "1e6": "0x90", LATENCY % "4e6": "0+600x90"}),
    Case("ColorizerAtItsLargest", {SCALER % "status_current_replicas": "10x90"}),
    Case("GatewayDown", {UP % ("gateway-metrics", "a"): "0x90"}),
    Case("GatewayNotScraped", {UP % ("gateway-metrics", "a"): GONE}),
    Case("ModelUnavailable", {MODEL: "0x90"}),
    Case("GatewayErrors", {ANSWERS % ("/api/colorize", "500"): "0+60x90"}),
    Case("GatewayPhotosFail", {PHOTOS % "failed": "0+300x90"}),
    Case("GatewaySlow", {SECONDS % "5": "0x90", SECONDS % "30": "0+600x90"}),
    Case("GatewayDiskNearlyFull", {HELD: "4000000000x90"}),
    Case("NightlyJobMissing", {NIGHT % "status_last_successful_time": "-140000x90"}),
    # A job that has never succeeded has no such time at all.
    Case("NightlyJobMissing", NEVER_SUCCEEDED),
    Case("VolumeNearlyFull", {VOLUME % "available_bytes": "5x90"}),
)


def test_every_alert_has_its_series():
    [rule] = of_kind(build("overlays/prod"), "PrometheusRule")
    alerts = {rule["alert"] for group in rule["spec"]["groups"] for rule in group["rules"] if "alert" in rule}
    assert {case.alert for case in CASES} == alerts


def test_alerts_fire_on_what_they_are_for_and_on_nothing_else(tmp_path):
    silent = [
        ({}, []),
        # A probe's answers are no people's, and a job that was suspended is missed by nobody.
        ({ANSWERS % ("/readyz", "503"): "0+600x90"}, []),
        ({**NEVER_SUCCEEDED, NIGHT % "spec_suspend": "1x90"}, []),
        ({NIGHT % "status_last_successful_time": GONE}, []),  # it is new
    ]
    firing = [(case.differs, [case.alert]) for case in CASES]
    run_promtool(tmp_path, [*silent, *firing])


def test_the_tool_would_tell(tmp_path):
    with pytest.raises(AssertionError, match="ColorizerDown"):
        run_promtool(tmp_path, [({}, ["ColorizerDown"])])


def run_promtool(folder: Path, cases: list[tuple[dict[str, str | None], list[str]]]) -> None:
    """Check which alerts fire, given what differs from a cluster that is well."""
    PROMTOOL.require()
    [rule] = of_kind(build("overlays/prod"), "PrometheusRule")
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    tests = []
    for differs, alerts in cases:
        series = {name: values for name, values in {**WELL, **differs}.items() if values is not GONE}
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing", namespace="tintype"})',
                        "eval_time": MINUTE,
                        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts],
                    }
                ],
            }
        )
    (folder / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}))
    done = subprocess.run(
        [promtool(), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
