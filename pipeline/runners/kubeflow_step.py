"""What runs in the container of a step on Kubeflow Pipelines: TFX's own entry point, and what it lacks there.

TFX's entry point was written for another service than the open one. Kubeflow Pipelines' launcher

- names the artifacts that go in without their types: they are taken from the component's own description;
- knows `minio://` and `s3://`, which TFX has no filesystem for: it lays what goes in under a local path before the step
  starts, and takes what comes out from there when it has ended. The executor gets those local paths. `gs://` stays as
  it is, because TFX and Beam read and write it themselves.

Both are seen in the sources of Kubeflow Pipelines: backend/src/v2/metadata/converter.go and
backend/src/v2/component/launcher_v2.go, LocalPathForURI.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

LOCAL_FOLDERS = {"minio://": "minio/", "s3://": "s3/"}


def run_step(argv: list[str], *, root: Path = Path("/")) -> None:
    """Run the executor of a step.

    Args:
        argv: the arguments of TFX's kubeflow_v2_run_executor: `--executor_class_path`, the executor input as
            `--json_serialized_invocation_args`, the component's inputs as `--json_serialized_inputs_spec_args`, and
            Beam's options.
        root: the folder that the launcher's local copies lie under.

    Raises:
        TintypeError: the executor refused its input.
    """
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
    step, beam_arguments = parser.parse_known_args(argv)
    executor_input = json.loads(step.json_serialized_invocation_args)
    add_types(executor_input, json.loads(step.json_serialized_inputs_spec_args))
    remote = make_local(executor_input, root)
    step.json_serialized_invocation_args = json.dumps(executor_input)
    kubeflow_v2_run_executor.main((step, beam_arguments))
    _name_remote(Path(executor_input["outputs"]["outputFile"]), remote)


def add_types(executor_input: dict[str, Any], inputs_spec: dict[str, Any]) -> None:
    """Give every artifact that goes in and has no type the one that the component expects there.

    Args:
        executor_input: a KFP ExecutorInput in JSON's form; it is changed.
        inputs_spec: the component's ComponentInputsSpec in JSON's form.
    """
    for name, given in executor_input.get("inputs", {}).get("artifacts", {}).items():
        for artifact in given.get("artifacts", []):
            if not any(artifact.get("type", {}).values()):
                artifact["type"] = inputs_spec["artifacts"][name]["artifactType"]


def make_local(executor_input: dict[str, Any], root: Path) -> dict[str, str]:
    """Replace the URIs that TFX cannot open by the paths that KFP's launcher copies them to and from.

    Args:
        executor_input: a KFP ExecutorInput in JSON's form; it is changed.
        root: the folder that the launcher's local copies lie under.

    Returns:
        the URI of each path.
    """
    remote = {}
    for side in ("inputs", "outputs"):
        for artifacts in executor_input.get(side, {}).get("artifacts", {}).values():
            for artifact in artifacts.get("artifacts", []):
                for scheme, folder in LOCAL_FOLDERS.items():
                    if artifact["uri"].startswith(scheme):
                        path = str(root / folder / artifact["uri"].removeprefix(scheme))
                        remote[path] = artifact["uri"]
                        artifact["uri"] = path
    return remote


def _name_remote(output_file: Path, remote: dict[str, str]) -> None:
    """Write the URIs back into what the step tells the launcher: it records them, and takes uploads from them."""
    told = json.loads(output_file.read_text())
    for artifacts in told.get("artifacts", {}).values():
        for artifact in artifacts.get("artifacts", []):
            artifact["uri"] = remote.get(artifact["uri"], artifact["uri"])
    output_file.write_text(json.dumps(told))


def main() -> None:
    """Run the step that the command line tells; what is the input's fault ends in one clear line."""
    from absl import logging

    from photo.errors import TintypeError

    logging.use_absl_handler()  # what the steps log is the pod's log
    try:
        run_step(sys.argv[1:])
    except TintypeError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
