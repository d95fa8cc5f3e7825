"""The pipeline for Kubeflow Pipelines, version 2: compiled to the YAML that its server takes."""

import json
import os
import re
from typing import Any

import yaml

from pipeline.config import ConfigError, RunConfig
from pipeline.resources import Resources, StepResources, memory_bytes
from pipeline.runners.kubeflow_options import KubeflowOptions

STEP_COMMAND = ("python", "-m", "pipeline.runners.kubeflow_step")
FINGERPRINT_STEP = "PhotoFingerprint"
# What the parameter of a step is called that only its container's image reads; KFP's compiler names it so.
_IMAGE_INPUT = "pipelinechannel--image"
# A failed step is tried again after this, and twice as long after each further failure, up to an hour.
_BACKOFF_SECONDS, _BACKOFF_FACTOR, _BACKOFF_MAX_SECONDS = 30, 2.0, 3600


def compile_kubeflow(config: RunConfig, options: KubeflowOptions = KubeflowOptions()) -> str:  # noqa: B008 - frozen
    """Compile the pipeline.

    The run's parameters are `data`, `destination` (the serving base path), `steps` (of training) and `image`; their
    defaults stand in `options` and in the config. The same arguments give the same text.

    Args:
        config: the run; `config.resources` is what the steps get.
        options: the rest.

    Returns:
        YAML: a PipelineSpec of schema 2.1.0 and, if the config asks for volumes or nodes, a PlatformSpec.

    Raises:
        ConfigError: the checkpoints would lie on no volume, or the pipeline root is none that KFP knows.
    """
    _check(config, options)
    from google.protobuf import json_format

    defaults = {
        "data": options.data,
        "destination": config.push.destination,
        "steps": config.train.steps,
        "image": options.image,
    }
    spec = _pipeline_spec(config, options)
    spec.default_pipeline_root = options.pipeline_root or ""
    _take_image_from_parameter(spec)
    _set_defaults(spec, defaults)
    _fingerprint_photographs_first(spec)
    _make_schema_path_relative(spec)
    _set_resources(spec, config.resources)
    documents = [json_format.MessageToDict(spec), *_platform(spec, config.resources)]
    return _heading(config, defaults) + yaml.safe_dump_all(documents, sort_keys=True, width=120)


def _pipeline_spec(config: RunConfig, options: KubeflowOptions) -> Any:
    """The PipelineSpec that TFX makes of the graph."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.data_types import RuntimeParameter
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

    from components.image_example_gen.photo_fingerprint import PhotoFingerprint
    from pipeline.graph import create_pipeline
    from serving.batch.local_runner import local_options

    data = RuntimeParameter("data", str)
    pipeline = create_pipeline(
        config.model_copy(update={"push": config.push.model_copy(update={"destination": None})}),
        name=_pipeline_name(config.recipe),
        extra_components=(PhotoFingerprint(input_base=data),),
        data=data,
        destination=RuntimeParameter("destination", str),
        steps=RuntimeParameter("steps", int),
        pipeline_root="",
        checkpoint_base=options.checkpoint_base,
        beam_arguments=local_options(options.workers, here=False),
        enable_cache=options.enable_cache,
    )
    compiled = KubeflowV2DagRunner(
        config=KubeflowV2DagRunnerConfig(
            default_image=f"{{{{$.inputs.parameters['{_IMAGE_INPUT}']}}}}",
            default_commands=list(STEP_COMMAND),
            use_pipeline_spec_2_1=True,
        )
    ).run(pipeline, write_out=False)
    return json_format.ParseDict(compiled["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())


def _check(config: RunConfig, options: KubeflowOptions) -> None:
    root = options.pipeline_root
    if root is not None and not re.match(r"(gs|s3|minio)://.", root):
        raise ConfigError(f"the pipeline root must be a gs://, s3:// or minio:// URL, got {root!r}")
    base = options.checkpoint_base
    volumes = [volume.path.rstrip("/") for volume in config.resources.volumes]
    if base and not any(base == path or base.startswith(f"{path}/") for path in volumes):
        raise ConfigError(
            "the checkpoints must lie on a volume of the config, or a step that is tried again does not find them; "
            f"resources.volumes has {', '.join(volumes) or 'none'}, got {base!r}"
        )


def _pipeline_name(recipe: str) -> str:
    """KFP's names have no underscores."""
    return f"tintype-{recipe.replace('_', '-').strip('-')}"


def _take_image_from_parameter(spec: Any) -> None:
    """Hand the run's parameter `image` to every step, whose container's image refers to it."""
    from kfp.pipeline_spec import pipeline_spec_pb2

    string = pipeline_spec_pb2.ParameterType.STRING
    spec.root.input_definitions.parameters["image"].parameter_type = string
    for task in spec.root.dag.tasks.values():
        task.inputs.parameters[_IMAGE_INPUT].component_input_parameter = "image"
        spec.components[task.component_ref.name].input_definitions.parameters[_IMAGE_INPUT].parameter_type = string


def _set_defaults(spec: Any, defaults: dict[str, str | int | None]) -> None:
    """TFX drops the defaults of runtime parameters."""
    for name, default in defaults.items():
        parameter = spec.root.input_definitions.parameters[name]
        if isinstance(default, int):
            parameter.default_value.number_value = default
        elif default is not None:
            parameter.default_value.string_value = default
        parameter.is_optional = default is not None


def _fingerprint_photographs_first(spec: Any) -> None:
    """Key the cache of ImageExampleGen on its photographs.

    KFP skips a step whose parameters are the same: the fingerprint, read anew in every run, becomes one. TFX would have
    its own driver do this in a hook that the open KFP does not run, and that sees only the first level of a folder.
    """
    from kfp.pipeline_spec import pipeline_spec_pb2

    from components.image_example_gen.photo_fingerprint import FINGERPRINT_KEY

    string = pipeline_spec_pb2.ParameterType.STRING
    tasks = spec.root.dag.tasks
    tasks[FINGERPRINT_STEP].ClearField("caching_options")
    producer, consumer = (spec.components[name] for name in (FINGERPRINT_STEP, "ImageExampleGen"))
    producer.output_definitions.parameters[FINGERPRINT_KEY].parameter_type = string
    consumer.input_definitions.parameters[FINGERPRINT_KEY].parameter_type = string
    handed = tasks["ImageExampleGen"].inputs.parameters[FINGERPRINT_KEY].task_output_parameter
    handed.producer_task, handed.output_parameter_key = FINGERPRINT_STEP, FINGERPRINT_KEY
    tasks["ImageExampleGen"].dependent_tasks.append(FINGERPRINT_STEP)
    del spec.deployment_spec["executors"]["ImageExampleGen_executor"]["container"]["lifecycle"]


def _make_schema_path_relative(spec: Any) -> None:
    """The schema's path on this machine is none in the image."""
    from components.image_example_gen.photo_schema import PACKAGES

    constant = spec.root.dag.tasks["ImportSchemaGen"].inputs.parameters["schema_file"].runtime_value.constant
    constant.string_value = os.path.relpath(constant.string_value, PACKAGES)


def _set_resources(spec: Any, resources: Resources) -> None:
    """Write processors, memory and GPUs into the containers, retries into the tasks."""
    for task in spec.root.dag.tasks.values():
        name = task.task_info.name
        step = resources.of(name)
        if asked := _container_resources(step):
            spec.deployment_spec["executors"][f"{name}_executor"]["container"]["resources"] = asked
        if step.retries:
            task.retry_policy.max_retry_count = step.retries
            task.retry_policy.backoff_duration.seconds = _BACKOFF_SECONDS
            task.retry_policy.backoff_factor = _BACKOFF_FACTOR
            task.retry_policy.backoff_max_duration.seconds = _BACKOFF_MAX_SECONDS


def _container_resources(step: StepResources) -> dict[str, Any]:
    """KFP's ResourceSpec in JSON's form: Kubernetes' own notation, and the numbers that older servers read."""
    asked: dict[str, Any] = {}
    if step.cpu is not None:
        asked |= {"cpuRequest": step.cpu, "cpuLimit": step.cpu}
        asked |= {"resourceCpuRequest": f"{step.cpu:g}", "resourceCpuLimit": f"{step.cpu:g}"}
    if step.memory is not None:
        gigabytes = memory_bytes(step.memory) / 10**9
        asked |= {"memoryRequest": gigabytes, "memoryLimit": gigabytes}
        asked |= {"resourceMemoryRequest": step.memory, "resourceMemoryLimit": step.memory}
    if step.gpu_count:
        asked["accelerator"] = {
            "type": step.gpu_type,
            "count": str(step.gpu_count),
            "resourceType": step.gpu_type,
            "resourceCount": str(step.gpu_count),
        }
    return asked


def _platform(spec: Any, resources: Resources) -> list[dict[str, Any]]:
    """The document of what only Kubernetes has: nodes, volumes, secrets. None when nothing is asked for."""
    mounts = [{"constant": volume.claim, "mountPath": volume.path} for volume in resources.volumes]
    executors = {}
    for name in spec.root.dag.tasks:
        step = resources.of(name)
        asked = {
            "nodeSelector": {"labels": step.node_labels} if step.node_labels else None,
            "tolerations": [toleration.model_dump(exclude_none=True) for toleration in step.tolerations],
            "pvcMount": mounts,
            "enabledSharedMemory": {"volumeName": "shared-memory", "size": step.shared_memory}
            if step.shared_memory
            else None,
            "imagePullSecret": [{"secretName": secret} for secret in resources.pull_secrets],
        }
        if said := {key: value for key, value in asked.items() if value}:
            executors[f"{name}_executor"] = json.loads(json.dumps(said))  # YAML would write shared parts as anchors
    return [{"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}] if executors else []


def _heading(config: RunConfig, defaults: dict[str, str | int | None]) -> str:
    lines = [f"Tintype's pipeline of the recipe {config.recipe} for Kubeflow Pipelines, version 2.", "Parameters:"]
    for name, default in defaults.items():
        lines.append(f"  {name}" + (": to be given" if default is None else f" = {default}"))
    return "".join(f"# {line}\n" for line in lines)
