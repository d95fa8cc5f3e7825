"""The pipeline compiled for Kubeflow Pipelines, every step run from the compiled text as the cluster would run it.

There is no cluster here. `Launcher` does what KFP's driver and launcher do between the steps (backend/src/v2/driver and
backend/src/v2/component of Kubeflow Pipelines): it resolves parameters, names artifacts without their types, copies
them between an object store and a file system of the step's own, fills the placeholders of the container's arguments,
and passes metadata through the few kinds of values that the metadata store keeps. Each step's arguments go to the
module that its container's command names; to spare TFX's start-up, in this process. One step is run by its command as
well, as a process of its own in another working directory.
"""

import importlib
import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tintype.demo.scenes import render_scenes, write_collection

pytestmark = [pytest.mark.slow, pytest.mark.kubeflow]

SMALL = (
    "data.size=32",
    "network.generator.down_filters=[16,32,32]",
    "network.generator.up_filters=[32,32]",
    "network.discriminator.down_filters=[16]",
    "network.discriminator.flat_filters=[16]",
    "train.batch_size=8",
    "train.picture_every=60",
    "train.steps=100000",
    "evaluate.min_psnr_gain_db=-90",
    "evaluate.max_ab_mae_ratio=90",
    "evaluate.grid_rows=2",
    "canary.requests=2",
    "resources.trainer={cpu: 2, memory: 4Gi, retries: 2}",
)
STEPS = 12
IMAGE = "registry.example/tintype-pipeline:test"
BUCKET = "minio://mlpipeline/"


class Launcher:
    """Runs the tasks of a compiled pipeline one after the other.

    Args:
        text: the YAML.
        folder: gets `bucket`, the object store, and below `pods` what every step sees as its root folder.
        parameters: of this run.
    """

    def __init__(self, text: str, folder: Path, parameters: dict[str, Any]):
        self.spec = next(yaml.safe_load_all(text))
        self.tasks = self.spec["root"]["dag"]["tasks"]
        self.folder = folder
        declared = self.spec["root"]["inputDefinitions"]["parameters"]
        assert set(parameters) <= set(declared)
        self.parameters = {name: spec["defaultValue"] for name, spec in declared.items() if "defaultValue" in spec}
        self.parameters |= parameters
        assert set(self.parameters) == set(declared), "the API server refuses a run with parameters missing"
        self.root = f"{BUCKET}v2/artifacts/{self.spec['pipelineInfo']['name']}/{uuid.uuid4()}"
        self.outputs: dict[str, dict[str, dict[str, Any]]] = {}  # artifacts by task and name
        self.values: dict[str, dict[str, Any]] = {}  # output parameters by task and name
        self.images: dict[str, str] = {}
        self._artifacts = 0

    def run(self) -> list[str]:
        """Run every task after those it depends on; returns their names in the order they ran."""
        ran: list[str] = []
        while len(ran) < len(self.tasks):
            ready = [
                name
                for name in self.tasks
                if name not in ran and set(self.tasks[name].get("dependentTasks", [])) <= set(ran)
            ]
            assert ready, f"a circle among {set(self.tasks) - set(ran)}"
            self.run_task(ready[0])
            ran.append(ready[0])
        return ran

    def run_task(self, name: str) -> None:
        executor_input = self.executor_input(name)
        pod = self.folder / "pods" / f"{name}-{uuid.uuid4()}"
        self._download(executor_input, pod)
        command, arguments = self.container(name, executor_input)
        assert command[:2] == ["python", "-m"]
        importlib.import_module(command[2]).run_step(arguments, root=pod)
        self._collect(name, executor_input, pod)

    def input_parameters(self, name: str) -> dict[str, Any]:
        values = {}
        for key, source in self.tasks[name]["inputs"].get("parameters", {}).items():
            if "runtimeValue" in source:
                values[key] = source["runtimeValue"]["constant"]
            elif "componentInputParameter" in source:
                values[key] = self.parameters[source["componentInputParameter"]]
            else:
                produced = source["taskOutputParameter"]
                assert produced["producerTask"] in self.tasks[name]["dependentTasks"]
                values[key] = self.values[produced["producerTask"]][produced["outputParameterKey"]]
        return values

    def executor_input(self, name: str) -> dict[str, Any]:
        task = self.tasks[name]
        definitions = self.spec["components"][task["componentRef"]["name"]].get("outputDefinitions", {})
        inputs = {}
        for key, source in task["inputs"].get("artifacts", {}).items():
            produced = source["taskOutputArtifact"]
            assert produced["producerTask"] in task["dependentTasks"]
            # KFP's metadata store hands artifacts on without their types.
            artifact = self.outputs[produced["producerTask"]][produced["outputArtifactKey"]]
            inputs[key] = {"artifacts": [{**artifact, "type": {"instanceSchema": ""}}]}
        salt = uuid.uuid4()
        pod_files = self.folder / "kfp_outputs" / f"{name}-{salt}"
        return {
            "inputs": {"parameterValues": self.input_parameters(name), "artifacts": inputs},
            "outputs": {
                "artifacts": {
                    key: {
                        "artifacts": [
                            {
                                "uri": f"{self.root}/{name}/{salt}/{key}",
                                "type": definition["artifactType"],
                                "metadata": definition.get("metadata", {}),
                            }
                        ]
                    }
                    for key, definition in definitions.get("artifacts", {}).items()
                },
                "parameters": {key: {"outputFile": str(pod_files / key)} for key in definitions.get("parameters", {})},
                "outputFile": str(pod_files / "output_metadata.json"),
            },
        }

    def container(self, name: str, executor_input: dict[str, Any]) -> tuple[list[str], list[str]]:
        """The command and arguments of a task's container, its placeholders filled."""
        label = self.spec["components"][self.tasks[name]["componentRef"]["name"]]["executorLabel"]
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        placeholders = {
            f"{{{{$.inputs.parameters['{key}']}}}}": str(value)
            for key, value in executor_input["inputs"]["parameterValues"].items()
        }
        self.images[name] = placeholders[container["image"]]
        placeholders["{{$}}"] = json.dumps(executor_input)
        arguments = container["args"]
        for placeholder, value in placeholders.items():
            arguments = [argument.replace(placeholder, value) for argument in arguments]
        return container["command"], arguments

    def local(self, pod: Path, uri: str) -> Path:
        return pod / uri.replace("minio://", "minio/")

    def stored(self, uri: str) -> Path:
        return self.folder / "bucket" / uri.removeprefix(BUCKET)

    def _download(self, executor_input: dict[str, Any], pod: Path) -> None:
        for artifacts in executor_input["inputs"]["artifacts"].values():
            uri = artifacts["artifacts"][0]["uri"]
            shutil.copytree(self.stored(uri), self.local(pod, uri))
        for artifacts in executor_input["outputs"]["artifacts"].values():
            self.local(pod, artifacts["artifacts"][0]["uri"]).parent.mkdir(parents=True, exist_ok=True)
        Path(executor_input["outputs"]["outputFile"]).parent.mkdir(parents=True)

    def _collect(self, name: str, executor_input: dict[str, Any], pod: Path) -> None:
        told = json.loads(Path(executor_input["outputs"]["outputFile"]).read_text())
        self.outputs[name] = {}
        for key, artifacts in executor_input["outputs"]["artifacts"].items():
            (artifact,), (changed,) = artifacts["artifacts"], told["artifacts"][key]["artifacts"]
            uri = changed.get("uri") or artifact["uri"]
            assert uri == artifact["uri"], "the launcher would look for the artifact elsewhere"
            local, stored = self.local(pod, uri), self.stored(uri)
            stored.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if local.is_dir() else shutil.copy)(local, stored)
            metadata = {**artifact["metadata"], **changed.get("metadata", {})}
            metadata = {name: _as_kept(value) for name, value in metadata.items()}
            self._artifacts += 1
            self.outputs[name][key] = {
                "name": str(self._artifacts),
                "uri": uri,
                "metadata": {**metadata, "display_name": key, "store_session_info": "{}"},
            }
        self.values[name] = dict(told.get("parameterValues", {}))
        assert set(self.values[name]) == set(executor_input["outputs"]["parameters"])
        shutil.rmtree(pod)


def _as_kept(value: Any) -> Any:
    """A value of an artifact's metadata after it went through KFP's metadata store."""
    if isinstance(value, dict):
        return {"struct": value}
    assert isinstance(value, str | int | float), f"the launcher fails on {value!r}"
    return value if isinstance(value, str) else float(value)


@pytest.fixture(scope="module")
def text() -> str:
    from pipeline.config import load_config
    from pipeline.runners.kubeflow import compile_kubeflow
    from pipeline.runners.kubeflow_options import KubeflowOptions

    options = KubeflowOptions(image="registry.example/tintype-pipeline:1", data="gs://nowhere")
    return compile_kubeflow(load_config("demo", SMALL), options)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_collection(folder / "below" / "further", 32, side=48)
    return folder


@pytest.fixture(scope="module")
def destination(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("serving") / "colorizer"


@pytest.fixture(scope="module")
def finished(text, photographs, destination, tmp_path_factory) -> tuple[Launcher, list[str]]:
    parameters = {"data": str(photographs), "destination": str(destination), "steps": STEPS, "image": IMAGE}
    launcher = Launcher(text, tmp_path_factory.mktemp("cluster"), parameters)
    return launcher, launcher.run()


def test_every_step_runs_and_the_model_that_is_pushed_colours_a_photo(finished, destination):
    from photo.color import rgb_to_lightness
    from serving.model.saved_colorizer import SavedColorizer

    launcher, ran = finished
    assert len(ran) == 10
    assert ran[-1] == "Pusher"
    (version,) = [path for path in destination.iterdir() if path.name.isdigit()]
    pushed = launcher.outputs["Pusher"]["pushed_model"]
    assert pushed["metadata"]["pushed_destination"] == str(version)
    colorizer = SavedColorizer(str(version))
    assert colorizer.description.recipe == "demo"
    (_, scene) = next(iter(render_scenes(1, 900, 32)))
    ab = np.asarray(colorizer.predict_ab(rgb_to_lightness(scene)[None, ..., None]))
    assert ab.shape == (1, 32, 32, 2)
    assert np.abs(ab).max() > 0.5


def test_the_parameters_of_the_run_took_effect(finished, photographs):
    launcher, _ = finished
    assert set(launcher.images.values()) == {IMAGE}
    examples = launcher.stored(launcher.outputs["ImageExampleGen"]["examples"]["uri"])
    assert json.loads((examples / "summary.json").read_text())["read"] == 32
    training = launcher.stored(launcher.outputs["Trainer"]["model_run"]["uri"]) / "training.json"
    assert json.loads(training.read_text())["steps"] == STEPS


def test_the_parameters_that_the_cache_is_keyed_on_change_with_the_photographs_alone(finished, photographs):
    launcher, _ = finished
    first = launcher.input_parameters("ImageExampleGen")
    launcher.run_task("PhotoFingerprint")
    assert launcher.input_parameters("ImageExampleGen") == first
    write_collection(photographs / "below" / "more", 1, first_seed=700, side=48)
    launcher.run_task("PhotoFingerprint")
    changed = launcher.input_parameters("ImageExampleGen")
    assert {name for name in changed if changed[name] != first[name]} == {"fingerprint"}


def test_a_step_runs_by_its_command_from_the_installed_package(finished, tmp_path):
    launcher, _ = finished
    executor_input = launcher.executor_input("ImportSchemaGen")
    schema = executor_input["outputs"]["artifacts"]["schema"]["artifacts"][0]
    schema["uri"] = str(tmp_path / "schema")  # a bucket's copy would lie under /minio
    command, arguments = launcher.container("ImportSchemaGen", executor_input)
    subprocess.run([sys.executable, *command[1:], *arguments], cwd=tmp_path, check=True, timeout=280)
    assert "image/encoded" in (tmp_path / "schema" / "schema.pbtxt").read_text()
    assert json.loads(Path(executor_input["outputs"]["outputFile"]).read_text())["artifacts"]["schema"]
