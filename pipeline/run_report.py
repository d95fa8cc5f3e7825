"""What a run of the pipeline did, read from ML Metadata and the artifacts it points to."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from rich.table import Table
from tfx.orchestration import metadata
from tfx.types import artifact_utils

from components.evaluator.metric_rows import MOST_LABELS, label_table, metric_rows
from pipeline.report_rows import photograph_rows, training_row


@dataclasses.dataclass
class RunReport:
    """The end of a run in figures.

    Attributes:
        components: how each component ended in this run: `ran` or `cached`.
        photos: ImageExampleGen's summary: read, kept, photos in each split, left out by reason.
        photos_report: the path of the JSON lines that name each photo left out.
        training: the Trainer's training.json.
        metrics: the Evaluator's metrics.json.
        canary: the Canary's canary.json.
        pushed: the path of the version that was pushed, or None.
    """

    components: dict[str, str]
    photos: dict[str, Any]
    photos_report: str
    training: dict[str, Any]
    training_folder: str
    metrics: dict[str, Any]
    evaluation_folder: str
    canary: dict[str, Any]
    pushed: str | None

    @property
    def blessed(self) -> bool:
        """Whether both the Evaluator and the Canary let the model pass."""
        return bool(self.metrics["blessed"] and self.canary["blessed"])


def read_run_report(metadata_path: Path, pipeline_name: str, *, since: float) -> RunReport:
    """The report of the newest run of a pipeline.

    Args:
        metadata_path: the SQLite file of ML Metadata.
        pipeline_name: whose run.
        since: Unix time in seconds; executions that ended earlier belong to former runs.
    """
    states: dict[str, str] = {}
    artifacts: dict[tuple[str, str], str] = {}
    properties: dict[str, Any] = {}
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(metadata_path))) as handle:
        store = handle.store
        context = store.get_context_by_type_and_name("pipeline", pipeline_name)
        assert context is not None, f"{pipeline_name} has never run"
        nodes = {node.id: node.name.split(".", 1)[1] for node in store.get_contexts_by_type("node")}
        executions = [
            execution
            for execution in store.get_executions_by_context(context.id)
            if execution.last_update_time_since_epoch >= since * 1000
        ]
        for execution in executions:
            component = next(nodes[c.id] for c in store.get_contexts_by_execution(execution.id) if c.id in nodes)
            cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
            states[component] = "cached" if cached else "ran"
            for event in store.get_events_by_execution_ids([execution.id]):
                if event.type in (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.DECLARED_OUTPUT):
                    (proto,) = store.get_artifacts_by_id([event.artifact_id])
                    artifacts[component, event.path.steps[0].key] = proto.uri
                    if component == "Pusher":
                        (kind,) = store.get_artifact_types_by_id([proto.type_id])
                        artifact = artifact_utils.deserialize_artifact(kind, proto)
                        properties["pushed"] = bool(artifact.get_int_custom_property("pushed"))
                        properties["destination"] = artifact.get_string_custom_property("pushed_destination")

    examples = artifacts["ImageExampleGen", "examples"]
    run = artifacts["Trainer", "model_run"]
    evaluation = artifacts["Evaluator", "evaluation"]
    return RunReport(
        components=states,
        photos=_read_json(f"{examples}/summary.json"),
        photos_report=f"{examples}/report.jsonl",
        training=_read_json(f"{run}/training.json"),
        training_folder=run,
        metrics=_read_json(f"{evaluation}/metrics.json"),
        evaluation_folder=evaluation,
        canary=_read_json(f"{artifacts['Canary', 'blessing']}/canary.json"),
        pushed=properties["destination"] if properties["pushed"] else None,
    )


def _read_json(path: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(path).read_text())
    return record


def report_table(report: RunReport) -> Table:
    """The report as a table for the terminal."""
    table = Table(title="what happened", show_header=False, title_justify="left", min_width=60)
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    rows = (*photograph_rows(report.photos, report.photos_report), training_row(report.training))
    for row in (*rows, *metric_rows(report.metrics)):
        table.add_row(*row)
    if 1 < len(labels := report.metrics["labels"]) <= MOST_LABELS:
        headings, label_rows = label_table(labels)
        for label, *cells in label_rows:
            figures = (f"{heading} {cell}" for heading, cell in zip(headings[1:], cells, strict=True))
            table.add_row(f"in {label}", "; ".join(figures))
    table.add_row("evaluator", _verdict(report.metrics))
    table.add_row("canary", _verdict(report.canary))
    table.add_row("pushed to", report.pushed or "[red]not pushed[/red]")
    reused = [name for name, state in report.components.items() if state == "cached"]
    if reused:
        table.add_row("reused", ", ".join(reused))
    table.add_row("pictures", f"{report.evaluation_folder}/grid.png\n{report.training_folder}/curves.png")
    return table


def _verdict(result: dict[str, Any]) -> str:
    if result["blessed"]:
        return "[green]blessed[/green]"
    return "[red]not blessed[/red]: " + "; ".join(result["reasons"])
