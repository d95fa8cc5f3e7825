"""The Dockerfiles copy what is there, install what setup.py names, and hold what the manifests start."""

import fnmatch
import re
import runpy
import subprocess

import pytest
import setuptools

from tests.external_tools import HADOLINT, hadolint
from tests.k8s.manifests import K8S, ROOT, arguments, build, one, pods

pytestmark = pytest.mark.k8s
ALL_IMAGES = {
    path.name.removesuffix(".Dockerfile"): path.read_text() for path in sorted(K8S.glob("images/*.Dockerfile"))
}
# That of Beam's workers is made of the pipeline's, and holds nothing of the project by itself.
IMAGES = {name: text for name, text in ALL_IMAGES.items() if name != "beam"}
IMAGE = pytest.mark.parametrize("name", IMAGES)
LOCK = (ROOT / "requirements" / "all.lock").read_text()


@pytest.fixture(scope="module")
def setup_arguments() -> dict:
    """What setup.py gives to setup()."""
    given: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", given.update)
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return given


def argument(text: str, name: str) -> str:
    [value] = set(re.findall(rf"^ARG {name}=(\S+)", text, re.MULTILINE))
    return value


def locked(package: str) -> str:
    [version] = re.findall(rf"^{package}==([\w.]+)", LOCK, re.MULTILINE)
    return version


def test_there_are_two_and_the_one_of_beams_workers():
    assert set(ALL_IMAGES) == {"pipeline", "gateway", "beam"}


def test_the_workers_that_a_runner_starts_boot_as_beam_does_in_the_environment_of_the_pipeline():
    text = ALL_IMAGES["beam"]
    assert f"FROM apache/beam_python3.11_sdk:{locked('apache-beam')} AS sdk" in text
    assert "FROM ${PIPELINE_IMAGE}" in text
    assert "COPY --from=sdk /opt/apache/beam /opt/apache/beam" in text
    # Else boot makes an empty environment in a folder that this user may not write.
    assert "ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1" in text
    assert text.endswith('ENTRYPOINT ["/opt/apache/beam/boot"]\n')


@pytest.mark.parametrize("name", ALL_IMAGES)
def test_hadolint_has_nothing_to_say(name):
    HADOLINT.require()
    done = subprocess.run([hadolint(), str(K8S / "images" / f"{name}.Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@IMAGE
def test_what_is_copied_is_there_and_reaches_the_builder(name):
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert ignored[0] == "*"
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", IMAGES[name], re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert {"setup.py", "requirements/all.lock", "tintype", "serving"} <= set(copied)
    # What setup.py reads must be there before the packages that it names are installed.
    assert {"README.md", "LICENSE", "photo/version.py"} <= set(copied[: copied.index("requirements/all.lock")])
    for source in copied:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, f"{pattern}*") for pattern in let_in), f".dockerignore keeps {source} out"
    for secret in (".git", ".venv", "build", "tests"):
        assert secret not in let_in


@IMAGE
def test_the_wheel_has_all_packages(name, setup_arguments):
    copied = re.findall(r"^COPY (\w+) \1$", IMAGES[name], re.MULTILINE)
    assert {package.partition(".")[0] for package in setup_arguments["packages"]} == set(copied)


@IMAGE
def test_extras_and_versions_are_those_of_the_project(name, setup_arguments):
    text = IMAGES[name]
    extras = set(re.findall(r"--extra (\w+)", text))
    assert extras <= set(setup_arguments["extras_require"])
    assert extras == ({"web"} if name == "gateway" else {"pipeline", "server", "batch", "kubeflow"})
    assert "--constraint requirements/all.lock" in text
    [uv] = re.findall(r"^UV_VERSION=(\S+)", (ROOT / "scripts" / "bootstrap.sh").read_text(), re.MULTILINE)
    assert argument(text, "UV_VERSION") == uv
    bases = set(re.findall(r"^FROM python:(\S+)", text, re.MULTILINE))
    [base] = bases
    assert re.fullmatch(r"3\.11\.\d+-slim-trixie", base)  # trixie: glibc 2.41 and the libstdc++ of GCC 14


@IMAGE
def test_it_runs_as_the_user_of_the_pods_and_finds_the_command(name, setup_arguments):
    last = IMAGES[name].rpartition("\nFROM ")[2]
    [user] = re.findall(r"^USER (\d+):\1$", last, re.MULTILINE)
    for folder in ("overlays/prod", "overlays/prod-jobs", "jobs/demo", "jobs/training", "jobs/seed"):
        for pod in pods(build(folder)):
            for container in pod.containers():
                if f"/tintype/{name}:" in container.get("image", ""):
                    context = {**pod.spec["securityContext"], **container["securityContext"]}
                    assert str(context["runAsUser"]) == user, pod.name
    scripts = [entry.partition("=")[0] for entry in setup_arguments["entry_points"]["console_scripts"]]
    [command] = re.findall(r'^CMD \["(\w+)"', last, re.MULTILINE)
    assert command in scripts
    [environment] = set(re.findall(r"VIRTUAL_ENV=(\S+)", IMAGES[name]))
    assert f"COPY --from=build {environment} {environment}" in last
    assert f"PATH={environment}/bin:" in last


def test_manifests_use_these_images_in_the_version_of_the_project(setup_arguments):
    found = {
        container["image"]
        for folder in ("overlays/prod", "overlays/prod-jobs", "jobs/training")
        for pod in pods(build(folder))
        for container in pod.containers()
        if "tintype" in container.get("image", "")
    }
    version = setup_arguments["version"]
    names = {f"gateway:{version}", f"pipeline:{version}", f"pipeline:{version}-cuda"}
    assert {image.rpartition("/")[2] for image in found} == names
    assert "ARG ACCELERATOR=cpu" in IMAGES["pipeline"]


def test_what_the_manifests_start_is_in_the_image():
    """Commands of the project are checked with their arguments in test_wiring.py; these are the others."""
    pipeline = IMAGES["pipeline"]
    manifests = build("jobs/batch")
    [job] = one(manifests, "CronJob", "colour-archive")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    [jar] = [value.partition("=")[2] for value in job["args"] if value.startswith("--flink_job_server_jar=")]
    assert re.search(rf"^COPY --from=flink \S+ {re.escape(jar)}$", pipeline, re.MULTILINE)
    [version] = [value.partition("=")[2] for value in job["args"] if value.startswith("--flink_version=")]
    assert argument(pipeline, "FLINK_VERSION") == version
    assert argument(pipeline, "BEAM_VERSION") == locked("apache-beam")
    modules = {
        command[index + 1]
        for pod in pods(manifests)
        for command in map(arguments, pod.containers())
        for index, word in enumerate(command)
        if word == "-m"
    }
    assert modules == {"apache_beam.runners.worker.worker_pool_main"}


def test_the_model_server_is_of_the_version_whose_messages_are_locked():
    [image] = [
        container["image"]
        for pod in pods(build("overlays/prod"))
        for container in pod.spec["containers"]
        if container["name"] == "tensorflow-serving"
    ]
    assert image == f"tensorflow/serving:{locked('tensorflow-serving-api')}"
