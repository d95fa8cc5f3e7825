"""What the objects say of each other holds: names, ports, selectors, volumes, files, commands."""

import json
import re
from pathlib import PurePosixPath

import promql_parser
import pytest
import typer

from photo.errors import REFUSED_BY_GATE
from pipeline.config import load_config
from serving.web.settings import Limits
from tests.k8s.manifests import (
    CLUSTERS,
    ROOT,
    Manifest,
    Pod,
    arguments,
    build,
    cluster,
    of_kind,
    one,
    pods,
    production_with,
    selects,
)
from tintype.cli import app

pytestmark = pytest.mark.k8s
CLUSTER = pytest.mark.parametrize("name", CLUSTERS)

# What the operators make themselves, by its name.
MADE_BY_OPERATORS = {"tintype-flink-rest": 8081}
# Secrets are made by hand or by cert-manager; docs/kubernetes.md says how.
DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")


def ports_of(pod: Pod) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"] for container in pod.containers() for port in container.get("ports", [])
    }


def selected(manifests: list[Manifest], labels: dict[str, str]) -> list[Pod]:
    return [pod for pod in pods(manifests) if selects({"matchLabels": labels}, pod.labels)]


@CLUSTER
def test_no_two_objects_have_one_name(name):
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in cluster(name)]
    assert len(names) == len(set(names))


@CLUSTER
def test_services_lead_to_a_pod_and_a_port_of_it(name):
    manifests = cluster(name)
    services = of_kind(manifests, "Service")
    assert services
    for service in services:
        [pod] = selected(manifests, service["spec"]["selector"])
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports_of(pod), service["metadata"]["name"]
    headless = one(manifests, "Service", "colorizer-headless")["spec"]
    assert headless["clusterIP"] == "None"
    assert not headless.get("publishNotReadyAddresses")


@CLUSTER
def test_deployments_select_their_own_pods_and_scalers_and_budgets_them(name):
    manifests = cluster(name)
    for deployment in of_kind(manifests, "Deployment"):
        spec = deployment["spec"]
        assert selected(manifests, spec["selector"]["matchLabels"]) == [
            pod for pod in pods(manifests) if pod.name == f"Deployment/{deployment['metadata']['name']}"
        ]
        constraints = [
            *(term["podAffinityTerm"] for term in preferred(spec["template"]["spec"])),
            *spec["template"]["spec"]["topologySpreadConstraints"],
        ]
        assert len(constraints) == 2
        for constraint in constraints:
            assert constraint["labelSelector"] == spec["selector"]
        [budget] = [
            budget
            for budget in of_kind(manifests, "PodDisruptionBudget")
            if budget["spec"]["selector"] == spec["selector"]
        ]
        assert budget["spec"]["maxUnavailable"] == 1
    scalers = of_kind(manifests, "HorizontalPodAutoscaler")
    assert len(scalers) == (name == "prod")
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        deployment = one(manifests, target["kind"], target["name"])
        assert deployment["apiVersion"] == target["apiVersion"]
        assert "replicas" not in deployment["spec"]  # an apply would undo what the scaler did
        names = [container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]]
        assert [metric["containerResource"]["container"] for metric in scaler["spec"]["metrics"]] == names


def preferred(pod_spec: Manifest) -> list[Manifest]:
    return pod_spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]


@CLUSTER
def test_network_policies_concern_pods_that_are_there_and_ports_that_they_have(name):
    manifests = cluster(name)
    for policy in of_kind(manifests, "NetworkPolicy"):
        spec = policy["spec"]
        concerned = [pod for pod in pods(manifests) if selects(spec["podSelector"], pod.labels)]
        assert concerned, policy["metadata"]["name"]
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, []):
                inside = [peer["podSelector"] for peer in rule.get(peers, []) if set(peer) == {"podSelector"}]
                others = [pod for pod in pods(manifests) for peer in inside if selects(peer, pod.labels)]
                # Clients of a job that is not in this cluster may be missing; who is asked may not.
                if inside and direction == "egress":
                    assert others, policy["metadata"]["name"]
                asked = concerned if direction == "ingress" else others
                for port in rule.get("ports", []):
                    if isinstance(port["port"], str):
                        assert all(port["port"] in ports_of(pod) for pod in asked), policy["metadata"]["name"]


@CLUSTER
def test_whoever_asks_a_service_may_do_so_and_finds_it(name):
    manifests = cluster(name)
    labels = {"colorizer-headless": "tintype/asks-colorizer", "tintype-flink-rest": "tintype/asks-flink"}
    services = {
        service["metadata"]["name"]: [port["port"] for port in service["spec"]["ports"]]
        for service in of_kind(manifests, "Service")
    } | {service: [port] for service, port in MADE_BY_OPERATORS.items()}
    asking = []
    for pod in pods(manifests):
        for container in pod.containers():
            for host, port in re.findall(
                r"=(?:dns:///|https?://)?([a-z][a-z-]+):(\d+)", " ".join(arguments(container))
            ):
                if host != "localhost":
                    assert int(port) in services[host], pod.name
                    assert pod.labels.get(labels[host]) == "true", f"{pod.name} is kept from {host} by the network"
                    asking.append(pod.name)
    assert "Deployment/gateway" in asking
    assert ("CronJob/colour-archive" in asking) == (name != "local")


@CLUSTER
def test_nobody_waits_for_the_page_because_of_a_batch(name):
    manifests = cluster(name)
    classes = {each["metadata"]["name"]: each["value"] for each in of_kind(manifests, "PriorityClass")}
    values = {pod.name: classes[pod.spec["priorityClassName"]] for pod in pods(manifests)}
    servers = {name: value for name, value in values.items() if name.startswith("Deployment/")}
    others = {name: value for name, value in values.items() if name not in servers and name != "Job/seed-model"}
    assert max(others.values(), default=-1) < 0 < min(servers.values())  # 0 is everybody else's


@CLUSTER
def test_volumes_are_there_and_used(name):
    manifests = cluster(name)
    for pod in pods(manifests):
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        mounts = [mount for container in pod.containers() for mount in container["volumeMounts"]]
        assert {mount["name"] for mount in mounts} == set(volumes), pod.name
        for container in pod.containers():
            places = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(places) == len(set(places)), pod.name
        for volume in volumes.values():
            if "configMap" in volume:
                assert one(manifests, "ConfigMap", volume["configMap"]["name"])
            if "persistentVolumeClaim" in volume:
                assert one(manifests, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
            if "secret" in volume:
                assert f"`{volume['secret']['secretName']}`" in DOCUMENT
                # Root owns the files; the group that the pod's fsGroup gives them must be able to read them.
                assert volume["secret"]["defaultMode"] == 0o440
                assert pod.spec["securityContext"]["fsGroup"] > 0


@CLUSTER
def test_every_file_that_is_named_is_mounted(name):
    manifests = cluster(name)
    keys_of_certificates = {"tls.crt", "tls.key", "ca.crt"}
    seen = set()
    for pod in pods(manifests):
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        for container in pod.containers():
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            for argument in container.get("args", []):
                for path in re.findall(r"(?:^|=)(/[\w./-]+)$", argument):
                    if path.startswith("/opt/"):
                        continue  # of the image: test_images.py
                    mounted = [place for place in mounts if PurePosixPath(path).is_relative_to(place)]
                    assert mounted, f"{pod.name}: nothing is mounted for {argument}"
                    volume, key = volumes[mounts[mounted[0]]], PurePosixPath(path).name
                    seen.add(key)
                    if "configMap" in volume:
                        assert key in one(manifests, "ConfigMap", volume["configMap"]["name"])["data"]
                    if "secret" in volume:
                        assert key in keys_of_certificates
    assert {"models.config", "batching.config", "monitoring.config"} <= seen
    assert ("ssl.config" in seen and keys_of_certificates <= seen) == (name == "prod")


@CLUSTER
def test_service_accounts_variables_probes_and_secrets_are_there(name):
    manifests = cluster(name)
    for pod in pods(manifests):
        account = pod.spec.get("serviceAccountName")
        if account:
            assert one(manifests, "ServiceAccount", account)
        for container in pod.containers():
            variables = {variable["name"]: variable for variable in container.get("env", [])}
            assert set(re.findall(r"\$\(([A-Z_]+)\)", " ".join(arguments(container)))) <= set(variables)
            for variable in variables.values():
                secret = variable.get("valueFrom", {}).get("secretKeyRef")
                assert secret is None or f"`{secret['name']}`" in DOCUMENT
            names = [port["name"] for port in container.get("ports", [])]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert (probe in container) == pod.name.startswith("Deployment/") or "initContainers" in pod.spec
                if "httpGet" in container.get(probe, {}):
                    assert container[probe]["httpGet"]["port"] in names
    for flink in of_kind(manifests, "FlinkDeployment"):
        assert one(manifests, "ServiceAccount", flink["spec"]["serviceAccount"])
    for binding in of_kind(manifests, "RoleBinding"):
        assert one(manifests, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            assert one(manifests, subject["kind"], subject["name"])


@CLUSTER
def test_pods_have_time_to_end(name):
    for deployment in of_kind(cluster(name), "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        [container] = spec["containers"]
        slept = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        ended = 20 if deployment["metadata"]["name"] == "gateway" else 10
        assert spec["terminationGracePeriodSeconds"] >= slept + ended


@CLUSTER
def test_a_container_that_hangs_is_not_given_the_time_that_clients_have(name):
    for deployment in of_kind(cluster(name), "Deployment"):
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        for probe in ("startupProbe", "livenessProbe"):
            assert container[probe]["terminationGracePeriodSeconds"] <= 10


@pytest.mark.parametrize("folder", ["jobs/batch", "jobs/nightly", "overlays/prod", "overlays/prod-jobs"])
def test_an_apply_starts_no_work_but_the_seed_and_what_goes_by_the_clock(folder):
    manifests = build(folder)
    assert [job["metadata"]["name"] for job in of_kind(manifests, "Job")] == ["seed-model"] * (
        folder == "overlays/prod"
    )
    for job in of_kind(manifests, "CronJob"):
        assert job["spec"].get("suspend", False) is not job["metadata"]["name"].startswith("nightly-")


def test_a_nightly_pipeline_is_tried_again_unless_a_gate_refused_or_the_usage_was_wrong():
    spec = one(build("jobs/nightly"), "CronJob", "nightly-pipeline")["spec"]["jobTemplate"]["spec"]
    [codes] = [rule["onExitCodes"]["values"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert codes == [2, REFUSED_BY_GATE]


@CLUSTER
def test_a_server_that_ends_sleeps_until_its_last_client_has_left(name):
    [server] = [pod for pod in pods(cluster(name)) if pod.name == "Deployment/colorizer"]
    [container] = server.spec["containers"]
    [channel] = [value for value in container["args"] if value.startswith("--grpc_channel_arguments=")]
    age, grace = (
        int(re.search(rf"max_connection_{which}_ms=(\d+)", channel)[1]) / 1000 for which in ("age", "age_grace")
    )
    cached_names, jitter = 30, 1.1  # of CoreDNS; of gRPC
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] >= cached_names + jitter * age + grace
    # Process 1 would not hear SIGTERM: tensorflow_model_server has no handler for it.
    assert server.spec["shareProcessNamespace"] is True


@CLUSTER
def test_every_command_is_one_of_the_project_s_and_takes_its_arguments(name):
    """Also of tensorflow_model_server, whose flags `tintype serve` has."""
    commands = typer.main.get_command(app).commands
    seen = set()
    for pod in pods(cluster(name)):
        for container in pod.spec["containers"]:
            program, *rest = container.get("command", ["(the image's)"])
            values = [value.replace("$(PROCESSORS)", "4") for value in container.get("args", [])]
            if program == "tensorflow_model_server":
                program, rest = "tintype", ["serve"]
            if program != "tintype":
                continue
            [command] = rest
            seen.add(command)
            context = commands[command].make_context(command, values)
            if context.params.get("settings"):
                load_config(context.params.get("config") or "demo", context.params["settings"])
            # What is left of a batch job's is Beam's: the test below.
            assert command == "batch" or not context.args, (pod.name, context.args)
    assert {"serve", "web"} <= seen


@pytest.mark.slow
def test_batch_jobs_give_beam_options_that_it_has():
    from tintype.commands.batch import _runner_options

    command = typer.main.get_command(app).commands["batch"]
    for folder in ("jobs/batch", "jobs/nightly", "overlays/prod-jobs"):
        for pod in pods(build(folder)):
            for container in pod.spec["containers"]:
                if container.get("command") == ["tintype", "batch"]:
                    assert _runner_options(command.make_context("batch", list(container["args"])).args, 4)


@pytest.mark.parametrize("name", ["gpu", "prod"])
def test_the_edge_shows_the_page_and_keeps_the_rest_inside(name):
    manifests = cluster(name)
    route = one(manifests, "HTTPRoute", "gateway")["spec"]
    [rule] = route["rules"]
    [backend] = rule["backendRefs"]
    assert backend["port"] in [port["port"] for port in one(manifests, "Service", backend["name"])["spec"]["ports"]]
    paths = [(match["path"]["value"], match["path"]["type"] == "PathPrefix") for match in rule["matches"]]
    check_what_is_shown(paths)
    # A job's photographs are in one pod.
    assert rule["sessionPersistence"]["type"] == "Cookie"
    assert rule["timeouts"]["request"] == "0s"  # streams of events have no end


@pytest.mark.parametrize("name", ["gpu", "prod"])
def test_routes_hang_on_listeners_that_are_there_for_their_host(name):
    manifests = cluster(name)
    listeners = {listener["name"]: listener for listener in one(manifests, "Gateway", "edge")["spec"]["listeners"]}
    served = {}
    for route in of_kind(manifests, "HTTPRoute"):
        [parent] = route["spec"]["parentRefs"]
        listener = listeners[parent["sectionName"]]
        assert route["spec"]["hostnames"] == [listener["hostname"]]
        served[listener["protocol"]] = route["metadata"]["name"]
    assert served == ({"HTTP": "to-https", "HTTPS": "gateway"} if name == "prod" else {"HTTP": "gateway"})
    for listener in listeners.values():
        for secret in listener.get("tls", {}).get("certificateRefs", []):
            assert f"`{secret['name']}`" in DOCUMENT


def check_what_is_shown(paths: list[tuple[str, bool]]) -> None:
    """`paths` are those that the edge lets through, and whether all below one is, too."""

    def shown(address: str) -> bool:
        return any(address == path or (prefix and address.startswith(path.rstrip("/") + "/")) for path, prefix in paths)

    routes = gateway_routes()
    inside = {"/metrics", "/healthz", "/readyz"}
    assert inside < routes
    assert {route for route in routes if not shown(route)} == inside
    assert shown("/static/page.js")


def test_an_ingress_can_take_the_place_of_the_gateway(tmp_path):
    manifests = production_with(tmp_path, "components/ingress")
    assert not of_kind(manifests, "Gateway", "HTTPRoute")
    ingress = one(manifests, "Ingress", "gateway")
    [rule] = ingress["spec"]["rules"]
    check_what_is_shown([(path["path"], path["pathType"] == "Prefix") for path in rule["http"]["paths"]])
    for path in rule["http"]["paths"]:
        service = path["backend"]["service"]
        ports = one(manifests, "Service", service["name"])["spec"]["ports"]
        assert service["port"]["name"] in [port["name"] for port in ports]
    [tls] = ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    assert f"`{tls['secretName']}`" in DOCUMENT
    assert "ingress-nginx" in str(one(manifests, "NetworkPolicy", "gateway"))
    check_limits_of_ingress(ingress["metadata"]["annotations"])


def gateway_routes() -> set[str]:
    from serving.web.app import create_app
    from serving.web.bounded_colorizer import connect
    from serving.web.settings import WebSettings

    application = create_app(WebSettings(), connect("localhost:1", Limits()))
    return {*application.openapi()["paths"], "/", "/docs", "/openapi.json"}


def check_limits_of_ingress(annotations: dict[str, str]) -> None:
    """They are those of the gateway's own nginx, and let through what the gateway takes."""
    nginx = (ROOT / "serving" / "web" / "nginx.conf").read_text()
    [body] = re.findall(r"client_max_body_size (\w+);", nginx)
    prefix = "nginx.ingress.kubernetes.io/"
    assert annotations[f"{prefix}proxy-body-size"] == body
    assert int(body.removesuffix("m")) * 2**20 > Limits().photo_bytes
    assert f"rate={annotations[f'{prefix}limit-rps']}r/s" in nginx
    assert f"limit_conn tintype_connections {annotations[f'{prefix}limit-connections']};" in nginx
    assert annotations[f"{prefix}proxy-buffering"] == annotations[f"{prefix}proxy-request-buffering"] == "off"


@CLUSTER
def test_what_the_gateway_keeps_fits_where_it_keeps_it(name):
    [gateway] = [pod for pod in pods(cluster(name)) if pod.name == "Deployment/gateway"]
    [container] = gateway.spec["containers"]
    [held] = re.findall(r"--max-held-megabytes=(\d+)", " ".join(container["args"]))
    [tmp] = [volume["emptyDir"]["sizeLimit"] for volume in gateway.spec["volumes"] if volume["name"] == "tmp"]
    limit = container["resources"]["limits"]["ephemeral-storage"]
    assert int(held) < int(tmp.removesuffix("Gi")) * 1024 < int(limit.removesuffix("Gi")) * 1024


@pytest.mark.parametrize("name", ["gpu", "prod"])
def test_jobs_name_their_containers(name):
    manifests = cluster(name)
    for job in [
        *(job["spec"] for job in of_kind(manifests, "Job")),
        *(job["spec"]["jobTemplate"]["spec"] for job in of_kind(manifests, "CronJob")),
    ]:
        names = [container["name"] for container in job["template"]["spec"]["containers"]]
        for rule in job.get("podFailurePolicy", {}).get("rules", []):
            assert job["template"]["spec"]["restartPolicy"] == "Never"
            assert rule.get("onExitCodes", {}).get("containerName", names[0]) in names


@pytest.mark.parametrize("name", ["gpu", "prod"])
def test_the_trainers_find_each_other_by_their_index_and_share_the_batch(name):
    manifests = cluster(name)
    job = one(manifests, "Job", "training")["spec"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"]  # all at once, or those that run wait for the others
    [container] = job["template"]["spec"]["containers"]
    [index] = [variable for variable in container["env"] if "valueFrom" in variable]
    annotation = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert index["valueFrom"]["fieldRef"]["fieldPath"] == annotation
    names = [variable["name"] for variable in container["env"]]
    assert names.index(index["name"]) < names.index("TF_CONFIG")  # only what stands before is filled in
    [config] = [variable["value"] for variable in container["env"] if variable["name"] == "TF_CONFIG"]
    for number in range(job["completions"]):
        seen = json.loads(config.replace(f"$({index['name']})", str(number)))
        assert seen["task"] == {"type": "worker", "index": number}
        [port] = [port["containerPort"] for port in container["ports"]]
        subdomain = job["template"]["spec"]["subdomain"]
        assert seen["cluster"]["worker"][number] == f"training-{number}.{subdomain}:{port}"
        assert len(seen["cluster"]["worker"]) == job["completions"]
    service = one(manifests, "Service", subdomain)["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    gpus = int(container["resources"]["limits"]["nvidia.com/gpu"])
    assert "--require-gpu" in container["args"]
    assert container["image"].endswith("-cuda")
    [recipe] = re.findall(r"--config=(\w+)", " ".join(container["args"]))
    assert load_config(recipe).train.batch_size % (job["completions"] * gpus) == 0


def test_the_worker_pool_listens_where_the_graph_says_and_has_a_worker_for_each_slot():
    manifests = build("jobs/batch")
    flink = one(manifests, "FlinkDeployment", "tintype-flink")["spec"]
    [pool] = [
        container
        for container in flink["taskManager"]["podTemplate"]["spec"]["initContainers"]
        if container["name"] == "beam-worker-pool"
    ]
    [job] = one(manifests, "CronJob", "colour-archive")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    [port] = re.findall(r"--service_port=(\d+)", " ".join(pool["args"]))
    assert f"--environment_config=localhost:{port}" in job["args"]
    # Flink's own pods are not restarted: only a sidecar comes back, and the task manager waits until it listens.
    assert pool["restartPolicy"] == "Always"
    for probe in ("startupProbe", "livenessProbe"):
        assert pool[probe]["tcpSocket"]["port"] in [port["name"] for port in pool["ports"]]
    [cached] = re.findall(r"--environment_cache_millis=(\d+)", " ".join(job["args"]))
    delay = flink["flinkConfiguration"]["restart-strategy.fixed-delay.delay"]
    assert int(delay.removesuffix(" s")) * 1000 > int(cached)
    [version] = re.findall(r"--flink_version=([\d.]+)", " ".join(job["args"]))
    assert flink["flinkVersion"] == "v" + version.replace(".", "_")
    assert flink["image"].startswith(f"flink:{version}.")
    [parallelism] = re.findall(r"--parallelism=(\d+)", " ".join(job["args"]))
    assert int(parallelism) <= int(flink["flinkConfiguration"]["slotmanager.number-of-slots.max"])
    # A worker's files must be where the graph says, too.
    shared = {mount["mountPath"] for mount in job["volumeMounts"]} & {
        mount["mountPath"] for mount in pool["volumeMounts"]
    }
    assert {"/workspace"} <= shared


def test_workers_find_the_certificates_where_the_graph_says():
    manifests = build("overlays/prod-jobs")
    flink = one(manifests, "FlinkDeployment", "tintype-flink")["spec"]["taskManager"]["podTemplate"]["spec"]
    [pool] = [container for container in flink["initContainers"] if container["name"] == "beam-worker-pool"]
    job, nightly = (pod for pod in pods(manifests) if pod.name in ("CronJob/colour-archive", "CronJob/nightly-batch"))
    for pod in (job, nightly):
        [container] = pod.spec["containers"]
        assert "--label=stable" in container["args"]
        for key in ("ca.crt", "tls.crt", "tls.key"):
            assert any(argument.endswith(f"=/client-tls/{key}") for argument in container["args"])
    assert "/client-tls" in [mount["mountPath"] for mount in pool["volumeMounts"]]


def test_production_takes_gpus_with_one_line_more(tmp_path):
    manifests = production_with(tmp_path, "components/gpu")
    assert not of_kind(manifests, "HorizontalPodAutoscaler")
    [config] = of_kind(manifests, "ConfigMap")
    assert "stable" in config["data"]["models.config"]
    assert "value: 32" in config["data"]["batching.config"]
    spec = one(manifests, "Deployment", "colorizer")["spec"]["template"]["spec"]
    containers = [*spec["initContainers"], *spec["containers"]]
    assert {container["image"].endswith("-gpu") for container in containers} == {True}
    assert {config["metadata"]["name"]} == {
        volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume
    }


def test_cert_manager_makes_the_certificates_that_the_pods_mount(tmp_path):
    manifests = production_with(tmp_path, "components/cert-manager")
    issuers = {issuer["metadata"]["name"] for issuer in of_kind(manifests, "Issuer")}
    made = {}
    for certificate in of_kind(manifests, "Certificate"):
        assert certificate["spec"]["issuerRef"]["name"] in issuers
        made[certificate["spec"]["secretName"]] = certificate["spec"]
    mounted = {
        volume["secret"]["secretName"]
        for pod in pods(manifests)
        for volume in pod.spec["volumes"]
        if "secret" in volume
    }
    assert mounted == set(made) - {"authority"}
    assert "colorizer-headless" in made["colorizer-tls"]["dnsNames"]  # the name that clients ask for
    assert "server auth" in made["colorizer-tls"]["usages"]
    assert "client auth" in made["colorizer-client-tls"]["usages"]
    [rule] = [rule for rule in of_kind(manifests, "PrometheusRule") if "certificates" in rule["metadata"]["name"]]
    [alert] = rule["spec"]["groups"][0]["rules"]
    promql_parser.parse(alert["expr"])
    # Told of only when cert-manager is late.
    renewed = min(int(spec["renewBefore"].removesuffix("h")) for spec in made.values() if "renewBefore" in spec)
    [days] = re.findall(r"< (\d+) \* 86400", alert["expr"])
    assert int(days) * 24 < renewed
    assert f"\n## {alert['alert']}\n" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
