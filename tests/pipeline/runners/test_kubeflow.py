import importlib
import re
from pathlib import Path

import pytest
import yaml

from pipeline.config import ConfigError, load_config
from pipeline.resources import memory_bytes
from pipeline.runners.kubeflow import compile_kubeflow
from pipeline.runners.kubeflow_options import KubeflowOptions
from pipeline.runners.kubeflow_step import add_types, make_local

pytestmark = pytest.mark.kubeflow

SETTINGS = (
    "train.steps=1234",
    "resources.default={cpu: 1, memory: 2Gi, retries: 1}",
    "resources.trainer={cpu: 7.5, memory: 24Gi, gpu_count: 2, retries: 3}",
    "resources.trainer.node_labels={cloud.google.com/gke-accelerator: nvidia-l4}",
    "resources.trainer.tolerations=[{key: nvidia.com/gpu, effect: NoSchedule}]",
    "resources.trainer.shared_memory=2Gi",
    "resources.pull_secrets=[registry]",
    "resources.volumes=[{claim: photographs, path: /photographs}, {claim: work, path: /work}]",
)
STEPS = {
    "PhotoFingerprint",
    "ImageExampleGen",
    "ImportSchemaGen",
    "StatisticsGen",
    "ExampleValidator",
    "DataGate",
    "Trainer",
    "Evaluator",
    "Canary",
    "Pusher",
}


def compiled(settings=(), **options) -> list[dict]:
    return list(yaml.safe_load_all(compile_kubeflow(load_config("demo", settings), KubeflowOptions(**options))))


@pytest.fixture(scope="module")
def text() -> str:
    options = KubeflowOptions(image="registry.example/tintype-pipeline:1", checkpoint_base="/work/checkpoints")
    return compile_kubeflow(load_config("demo", SETTINGS), options)


@pytest.fixture(scope="module")
def spec(text) -> dict:
    return next(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def platform(text) -> dict:
    return list(yaml.safe_load_all(text))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def container(spec: dict, step: str) -> dict:
    return spec["deploymentSpec"]["executors"][f"{step}_executor"]["container"]


def test_the_kfp_sdk_accepts_what_is_compiled(text, spec):
    from google.protobuf import json_format
    from kfp import components
    from kfp.pipeline_spec import pipeline_spec_pb2

    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    loaded = components.load_component_from_text(text)
    assert set(loaded.component_spec.inputs) == {"data", "destination", "steps", "image"}
    assert spec["schemaVersion"] == "2.1.0"  # the open server takes no other
    assert spec["pipelineInfo"]["name"] == "tintype-demo"
    assert set(spec["root"]["dag"]["tasks"]) == STEPS


def test_the_same_arguments_give_the_same_text(text):
    options = KubeflowOptions(image="registry.example/tintype-pipeline:1", checkpoint_base="/work/checkpoints")
    assert compile_kubeflow(load_config("demo", SETTINGS), options) == text


def test_nothing_of_this_machine_gets_into_the_text_and_all_it_names_can_be_imported(text, spec):
    assert str(Path(__file__).parents[3]) not in text
    assert spec["root"]["dag"]["tasks"]["ImportSchemaGen"]["inputs"]["parameters"]["schema_file"]["runtimeValue"] == {
        "constant": "components/image_example_gen/schema.pbtxt"
    }
    for step in STEPS:
        arguments = container(spec, step)["args"]
        module, _, name = arguments[arguments.index("--executor_class_path") + 1].rpartition(".")
        assert hasattr(importlib.import_module(module), name)
    schema = spec["components"]["DataGate"]["outputDefinitions"]["artifacts"]["verdict"]["artifactType"]
    module, _, name = yaml.safe_load(schema["instanceSchema"])["title"].rpartition(".")
    assert getattr(importlib.import_module(module), name).TYPE_NAME == "components.DataVerdict"


def test_the_parameters_of_a_run_reach_the_steps(spec):
    declared = spec["root"]["inputDefinitions"]["parameters"]
    assert declared == {
        "data": {"parameterType": "STRING"},
        "destination": {"parameterType": "STRING"},
        "steps": {"parameterType": "NUMBER_INTEGER", "defaultValue": 1234.0, "isOptional": True},
        "image": {
            "parameterType": "STRING",
            "defaultValue": "registry.example/tintype-pipeline:1",
            "isOptional": True,
        },
    }
    tasks = spec["root"]["dag"]["tasks"]
    for step, name, parameter in (
        ("PhotoFingerprint", "input_base", "data"),
        ("ImageExampleGen", "input_base", "data"),
        ("Trainer", "steps", "steps"),
        ("Evaluator", "served_base_path", "destination"),
        ("Pusher", "destination", "destination"),
    ):
        assert tasks[step]["inputs"]["parameters"][name] == {"componentInputParameter": parameter}
    for step, task in tasks.items():
        assert task["inputs"]["parameters"]["pipelinechannel--image"] == {"componentInputParameter": "image"}
        assert container(spec, step)["image"] == "{{$.inputs.parameters['pipelinechannel--image']}}"
        assert container(spec, step)["command"] == ["python", "-m", "pipeline.runners.kubeflow_step"]
    given = compiled(["push.destination=gs://models/colorizer"], data="gs://photos")[0]
    declared = given["root"]["inputDefinitions"]["parameters"]
    assert declared["data"]["defaultValue"] == "gs://photos"
    assert declared["destination"]["defaultValue"] == "gs://models/colorizer"


def test_a_step_gets_what_its_section_says_and_the_default_for_the_rest(spec, platform):
    assert container(spec, "Trainer")["resources"] == {
        "cpuRequest": 7.5,
        "cpuLimit": 7.5,
        "resourceCpuRequest": "7.5",
        "resourceCpuLimit": "7.5",
        "memoryRequest": pytest.approx(25.769803776),
        "memoryLimit": pytest.approx(25.769803776),
        "resourceMemoryRequest": "24Gi",
        "resourceMemoryLimit": "24Gi",
        "accelerator": {
            "type": "nvidia.com/gpu",
            "count": "2",
            "resourceType": "nvidia.com/gpu",
            "resourceCount": "2",
        },
    }
    for step in STEPS - {"Trainer"}:
        assert container(spec, step)["resources"]["resourceMemoryLimit"] == "2Gi"
        assert "accelerator" not in container(spec, step)["resources"]
    assert set(platform) == {f"{step}_executor" for step in STEPS}
    mounts = [
        {"constant": "photographs", "mountPath": "/photographs"},
        {"constant": "work", "mountPath": "/work"},
    ]
    labels = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    secrets = [{"secretName": "registry"}]
    # The fields of KFP's kubernetes_executor_config.proto.
    assert platform["Trainer_executor"] == {
        "nodeSelector": {"labels": labels},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "pvcMount": mounts,
        "enabledSharedMemory": {"volumeName": "shared-memory", "size": "2Gi"},
        "imagePullSecret": secrets,
    }
    assert platform["Pusher_executor"] == {"pvcMount": mounts, "imagePullSecret": secrets}


def test_retries_stand_in_the_tasks(spec):
    retries = {name: task["retryPolicy"]["maxRetryCount"] for name, task in spec["root"]["dag"]["tasks"].items()}
    assert retries == dict.fromkeys(STEPS, 1) | {"Trainer": 3}
    assert spec["root"]["dag"]["tasks"]["Trainer"]["retryPolicy"]["backoffDuration"] == "30s"


def test_a_plain_config_asks_for_nothing():
    (plain,) = compiled()
    for step, task in plain["root"]["dag"]["tasks"].items():
        assert "resources" not in container(plain, step)
        assert "retryPolicy" not in task


def test_the_cache_of_the_examples_is_keyed_on_a_fingerprint_that_is_always_read_anew(spec):
    tasks = spec["root"]["dag"]["tasks"]
    assert "cachingOptions" not in tasks["PhotoFingerprint"]
    assert all(tasks[step]["cachingOptions"] == {"enableCache": True} for step in STEPS - {"PhotoFingerprint"})
    assert tasks["ImageExampleGen"]["inputs"]["parameters"]["fingerprint"] == {
        "taskOutputParameter": {"producerTask": "PhotoFingerprint", "outputParameterKey": "fingerprint"}
    }
    assert tasks["ImageExampleGen"]["dependentTasks"] == ["PhotoFingerprint"]
    # TFX's driver for files would fail on an archive, and see no photograph below the first level of a folder.
    assert "lifecycle" not in container(spec, "ImageExampleGen")


def test_caching_can_be_turned_off_and_the_pipeline_root_be_given():
    (plain,) = compiled(pipeline_root="gs://bucket/root", enable_cache=False)
    assert all("cachingOptions" not in task for task in plain["root"]["dag"]["tasks"].values())
    assert plain["defaultPipelineRoot"] == "gs://bucket/root"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("resources.trainer.memory=12GB", "resources.trainer.memory: .*got '12GB'"),
        ("resources.trainer.cpu=0", "resources.trainer.cpu: .*greater than 0, got 0"),
        ("resources.trainer.gpus=1", "resources.trainer.gpus: no such field; there are cpu, memory, gpu_type"),
        ("resources.trainer.gpu_type=T4", "resources.trainer.gpu_type: .*got 'T4'"),
        ("resources.trainer.retries=-1", "resources.trainer.retries: .*got -1"),
        ("resources.trianer.cpu=1", "resources.trianer: no such field; there are volumes, pull_secrets, default,"),
        ("resources.volumes=[{claim: a, path: photos}]", "resources.volumes.0.path: .*got 'photos'"),
    ],
)
def test_a_wrong_resource_is_named_with_what_it_may_be(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_config("demo", [setting])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pipeline_root": "/mnt/root"}, "gs://, s3:// or minio:// URL, got '/mnt/root'"),
        ({"checkpoint_base": "/tmp/checkpoints"}, "on a volume of the config"),
    ],
)
def test_options_that_no_cluster_could_honour_are_refused(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        compile_kubeflow(load_config("demo"), KubeflowOptions(**options))


def test_memory_is_read_as_kubernetes_writes_it():
    assert [memory_bytes(text) for text in ("512", "2K", "16Gi", "3G", "1Ti")] == [512, 2000, 2**34, 3 * 10**9, 2**40]


def test_a_step_gets_types_and_local_paths_for_what_the_launcher_names(tmp_path):
    executor_input = {
        "inputs": {
            "artifacts": {
                "examples": {"artifacts": [{"uri": "minio://bucket/a/examples", "type": {"instanceSchema": ""}}]},
                "model": {"artifacts": [{"uri": "gs://bucket/b/model"}]},
            }
        },
        "outputs": {"artifacts": {"blessing": {"artifacts": [{"uri": "s3://bucket/c/blessing", "type": {"x": "y"}}]}}},
    }
    spec = {"artifacts": {"examples": {"artifactType": {"e": 1}}, "model": {"artifactType": {"m": 1}}}}
    add_types(executor_input, spec)
    remote = make_local(executor_input, tmp_path)
    examples, model = (executor_input["inputs"]["artifacts"][name]["artifacts"][0] for name in ("examples", "model"))
    assert examples == {"uri": f"{tmp_path}/minio/bucket/a/examples", "type": {"e": 1}}
    assert model == {"uri": "gs://bucket/b/model", "type": {"m": 1}}
    assert remote == {
        f"{tmp_path}/minio/bucket/a/examples": "minio://bucket/a/examples",
        f"{tmp_path}/s3/bucket/c/blessing": "s3://bucket/c/blessing",
    }


def test_a_run_cannot_ask_for_no_steps():
    from components.trainer.executor import Executor
    from photo.errors import TintypeError

    properties = {"trainer_config": load_config("demo").trainer_config().model_dump_json(), "steps": 0}
    with pytest.raises(TintypeError, match="steps must be at least 1, got 0"):
        Executor().Do({}, {}, properties)
