"""No pod may do more than its work needs, and no secret stands in a manifest."""

import re

import pytest

from tests.k8s.manifests import CLUSTERS, JOBS, OVERLAYS, Manifest, Pod, build, cluster, of_kind, one, pods, selects

pytestmark = pytest.mark.k8s

FOLDERS = (*OVERLAYS, *JOBS)
PODS = pytest.mark.parametrize("folder", FOLDERS)

# Flink's job manager makes the pods of its task managers.
SPEAKS_TO_KUBERNETES = {"FlinkDeployment/tintype-flink/jobManager"}


def all_pods(folder: str) -> list[Pod]:
    found = pods(build(folder))
    assert found
    return found


@PODS
def test_nothing_runs_as_root_or_can_become_it(folder):
    for pod in all_pods(folder):
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True, pod.name
        assert context["runAsUser"] > 0, pod.name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        for container in pod.containers():
            mine = container["securityContext"]
            assert mine["allowPrivilegeEscalation"] is False, (pod.name, container["name"])
            assert mine["capabilities"] == {"drop": ["ALL"]}, (pod.name, container["name"])
            assert mine.get("runAsUser", 1) > 0, (pod.name, container["name"])
            assert "privileged" not in mine


@PODS
def test_the_root_filesystem_is_read_only_and_what_is_written_is_bounded(folder):
    for pod in all_pods(folder):
        for container in pod.containers():
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, (pod.name, container["name"])
        for container in pod.spec["containers"]:
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]], (pod.name, container["name"])
        for volume in pod.spec["volumes"]:
            assert set(volume) - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}, pod.name
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], (pod.name, volume["name"])


@PODS
def test_the_host_is_out_of_reach(folder):
    for pod in all_pods(folder):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec), pod.name
        ports = [port for container in pod.containers() for port in container.get("ports", [])]
        assert not any("hostPort" in port for port in ports), pod.name


@PODS
def test_every_container_says_what_it_needs_and_takes_at_most(folder):
    for pod in all_pods(folder):
        for container in pod.containers():
            outside = pod.outside.get(container["name"])
            if outside:
                assert {"cpu", "memory"} <= set(outside["limits"]), pod.name
                continue
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), (pod.name, container["name"])
            assert {"cpu", "memory"} <= set(resources["limits"]), (pod.name, container["name"])


@PODS
def test_images_are_pinned(folder):
    for pod in all_pods(folder):
        for container in pod.containers():
            image = container.get("image") or pod.outside[container["name"]]["image"]
            assert re.search(r":(\d+\.\d+\.\d+[-.\w]*|local)$", image), (pod.name, image)
            assert image.endswith(":local") == (folder == "overlays/local" and "tintype-" in image), (pod.name, image)


@PODS
def test_no_pod_speaks_to_kubernetes_but_the_one_that_must(folder):
    for pod in all_pods(folder):
        assert pod.spec["automountServiceAccountToken"] is (pod.name in SPEAKS_TO_KUBERNETES), pod.name
        assert pod.spec["enableServiceLinks"] is False, pod.name
    for account in of_kind(build(folder), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_the_one_that_speaks_to_kubernetes_may_touch_its_own_namespace_alone():
    manifests = build("jobs/batch")
    assert not of_kind(manifests, "ClusterRole", "ClusterRoleBinding")
    for rule in one(manifests, "Role", "tintype-flink")["rules"]:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        assert "secrets" not in rule["resources"]


@PODS
def test_no_secret_stands_in_a_manifest(folder):
    manifests = build(folder)
    assert not of_kind(manifests, "Secret")
    for text in strings(manifests):
        assert "PRIVATE KEY" not in text
    for pod in pods(manifests):
        for container in pod.containers():
            for variable in container.get("env", []):
                if re.search("TOKEN|PASSWORD|SECRET|KEY$", variable["name"]):
                    assert "secretKeyRef" in variable.get("valueFrom", {}), (pod.name, variable["name"])


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_namespace_refuses_what_is_not_restricted_and_the_network_is_closed(name):
    manifests = cluster(name)
    [namespace] = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    # Of one version: what a cluster's update adds to the standard must not refuse pods that it took before.
    assert re.fullmatch(r"v1\.\d+", namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce-version"])
    assert one(manifests, "NetworkPolicy", "closed")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for manifest in manifests:
        if manifest["kind"] not in ("Namespace", "PriorityClass"):
            assert manifest["metadata"]["namespace"] == namespace["metadata"]["name"], manifest["metadata"]["name"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_nobody_but_clients_and_prometheus_reaches_the_model_server(name):
    manifests = cluster(name)
    [server] = [pod for pod in pods(manifests) if pod.name == "Deployment/colorizer"]
    policies = [
        policy
        for policy in of_kind(manifests, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], server.labels) and policy["spec"].get("ingress")
    ]
    [policy] = policies
    allowed = {
        port["port"]: [
            source for entry in policy["spec"]["ingress"] if port in entry["ports"] for source in entry["from"]
        ]
        for entry in policy["spec"]["ingress"]
        for port in entry["ports"]
    }
    assert allowed == {
        "grpc": [{"podSelector": {"matchLabels": {"tintype/asks-colorizer": "true"}}}],
        "rest": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
            }
        ],
    }


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for child in value.values() for text in strings(child)]
    if isinstance(value, list):
        return [text for child in value for text in strings(child)]
    return [value] if isinstance(value, str) else []


def test_the_rules_see_what_breaks_them():
    """The walk reaches every pod template there is."""
    manifests: list[Manifest] = [manifest for folder in FOLDERS for manifest in build(folder)]
    containers = re.findall(r"'containers': \[", str(manifests))
    assert len(containers) == len(pods(manifests))
