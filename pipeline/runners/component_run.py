"""One component of the pipeline, run in this process as part of a run whose others may run elsewhere."""

import os
from typing import TYPE_CHECKING, Any

from pipeline.config import RunConfig
from pipeline.runners.local import CHECKPOINTS

if TYPE_CHECKING:
    from ml_metadata.proto import metadata_store_pb2


def run_component(
    component: str,
    config: RunConfig,
    *,
    run: str,
    data: str,
    output: str,
    destination: str,
    connection: "metadata_store_pb2.ConnectionConfig",
    workers: int = 1,
    use_cache: bool = True,
) -> dict[str, Any]:
    """Run one component: look up its inputs and its cache in the metadata, do its work, publish what it made.

    Args:
        component: its id, the name of its class.
        config: the run's.
        run: a name that the components of one run share, and no other run in these metadata has. A component that has
            succeeded in this run is not run again.
        data: photographs: a folder, .zip or .tar.
        output: a folder or URL that all workers share, for artifacts and checkpoints.
        destination: the serving base path.
        connection: of ML Metadata.
        workers: processes that Beam may use, as in `run_local`.
        use_cache: reuse the result of an earlier run if nothing it depends on has changed.

    Returns:
        `state`, `ran` or `cached`; `outputs`, the URI of each artifact by its key; for the Pusher `pushed`, the new
        version's path or None.

    Raises:
        RuntimeError: the component did not run, as when an earlier one left no output in this run.
    """
    from tfx.dsl.compiler import compiler, constants
    from tfx.orchestration import metadata
    from tfx.orchestration.portable import runtime_parameter_utils

    from pipeline.graph import create_pipeline
    from serving.batch.local_runner import local_options

    pipeline = create_pipeline(
        config,
        data=data,
        destination=destination,
        pipeline_root=f"{output}/pipeline",
        # The checkpoints' writer renames folders: it needs a disk.
        checkpoint_base="" if "://" in output else f"{output}/{CHECKPOINTS}",
        beam_arguments=local_options(workers),
        enable_cache=use_cache,
    )
    compiled = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run})
    node = next(n.pipeline_node for n in compiled.nodes if n.pipeline_node.node_info.id == component)
    store = metadata.Metadata(connection)
    _remove_unfinished_outputs(store, node, f"{output}/pipeline/{component}")
    _launch(compiled, node, store)
    return _read_result(store, node, run)


def _launch(compiled: Any, node: Any, store: Any) -> None:
    from tfx.orchestration.local import runner_utils
    from tfx.orchestration.portable import launcher

    component = node.node_info.id
    specs = runner_utils.extract_local_deployment_config(compiled)
    launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=store,
        pipeline_info=compiled.pipeline_info,
        pipeline_runtime_spec=compiled.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(specs, component),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(specs, component),
    ).launch()


def _read_result(store: Any, node: Any, run: str) -> dict[str, Any]:
    """What `run_component` returns."""
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration.portable.mlmd import execution_lib

    from components.pusher.executor import PUSHED, PUSHED_DESTINATION

    component = node.node_info.id
    with store as handle:
        executions = _executions_of_this_run(handle, node)
        # The launcher notes a missing input in the metadata, and returns as if all were well.
        if not executions or not execution_lib.is_execution_successful(executions[0]):
            raise RuntimeError(f"{component} did not run: inputs of it are missing from run {run}")
        outputs = execution_lib.get_output_artifacts(handle, executions[0].id)
    cached = executions[0].last_known_state == metadata_store_pb2.Execution.CACHED
    result: dict[str, Any] = {
        "state": "cached" if cached else "ran",
        "outputs": {key: artifacts[0].uri for key, artifacts in outputs.items()},
    }
    if component == "Pusher":
        (pushed,) = outputs["pushed_model"]
        done = pushed.get_int_custom_property(PUSHED)
        result["pushed"] = pushed.get_string_custom_property(PUSHED_DESTINATION) if done else None
    return result


def _executions_of_this_run(handle: Any, node: Any) -> list[Any]:
    from tfx.orchestration.portable.mlmd import context_lib, execution_lib

    contexts = context_lib.prepare_contexts(metadata_handle=handle, node_contexts=node.contexts)
    executions: list[Any] = execution_lib.get_executions_associated_with_all_contexts(handle, contexts)
    return executions


def _remove_unfinished_outputs(store: Any, node: Any, folder: str) -> None:
    """Empty the output folders of an attempt that was killed: a retry writes into the same ones."""
    from tfx.dsl.io import fileio
    from tfx.orchestration.portable.mlmd import execution_lib

    with store as handle:
        for execution in _executions_of_this_run(handle, node):
            if not execution_lib.is_execution_successful(execution):
                for key in fileio.listdir(folder) if fileio.isdir(folder) else []:
                    left = os.path.join(folder, os.fsdecode(key), str(execution.id))
                    if fileio.exists(left):
                        fileio.rmtree(left)
