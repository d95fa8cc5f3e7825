import json
from pathlib import Path

import pytest
from ml_metadata import proto
from ml_metadata.metadata_store import MetadataStore
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components import ExampleValidator, StatisticsGen
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from components.artifacts import DataVerdict
from components.data_gate.component import DataGate
from components.data_gate.executor import DataStopped, Executor
from components.image_example_gen.component import SCHEMA_FILE, ImageExampleGen
from components.image_example_gen.config import DataConfig, Splits
from components.image_example_gen.summary import IngestionSummary
from photo.errors import REFUSED_BY_GATE
from tests.components.image_example_gen.photographs import BAD, encoded, picture, write_good_and_bad


def run_to_the_gate(root: Path, data: Path, schema_file: str = SCHEMA_FILE) -> None:
    photographs = ImageExampleGen(str(data), DataConfig(splits=Splits(train=2, eval=2, test=2)))
    schema = ImportSchemaGen(schema_file=schema_file)
    statistics = StatisticsGen(photographs.outputs["examples"], schema=schema.outputs["schema"])
    validator = ExampleValidator(statistics.outputs["statistics"], schema.outputs["schema"])
    gate = DataGate(photographs.outputs["examples"], validator.outputs["anomalies"])
    LocalDagRunner().run(
        Pipeline(
            pipeline_name="to_the_gate",
            pipeline_root=str(root / "pipeline"),
            components=[photographs, schema, statistics, validator, gate],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
            enable_cache=True,
        )
    )


def executions(root: Path) -> dict[str, list[str]]:
    """The states of each component's executions, oldest first."""
    connection = proto.ConnectionConfig()
    connection.sqlite.filename_uri = str(root / "metadata.sqlite")
    store = MetadataStore(connection)
    return {
        kind.name.rsplit(".", 1)[-1]: [
            proto.Execution.State.Name(execution.last_known_state)
            for execution in sorted(store.get_executions_by_type(kind.name), key=lambda execution: execution.id)
        ]
        for kind in store.get_execution_types()
    }


@pytest.mark.slow
def test_a_mixed_folder_passes_is_reported_and_cached_until_it_changes_or_breaks_the_schema(tmp_path):
    data = write_good_and_bad(tmp_path / "data")
    run_to_the_gate(tmp_path, data)

    (uri,) = (tmp_path / "pipeline/ImageExampleGen/examples").iterdir()
    report = [json.loads(line) for line in (uri / "report.jsonl").read_text().splitlines()]
    assert {line["path"]: line["reason"] for line in report} == BAD
    summary = IngestionSummary.model_validate_json((uri / "summary.json").read_text())
    assert (summary.read, summary.kept) == (26, 20)
    (verdict,) = (tmp_path / "pipeline/DataGate/verdict").iterdir()
    assert json.loads((verdict / "verdict.json").read_text()) == {"passed": True, "splits": summary.splits}
    assert set(map(tuple, executions(tmp_path).values())) == {("COMPLETE",)}

    run_to_the_gate(tmp_path, data)
    assert set(map(tuple, executions(tmp_path).values())) == {("COMPLETE", "CACHED")}

    (data / "street/night/new.jpg").write_bytes(encoded(picture(77)))
    run_to_the_gate(tmp_path, data)
    states = executions(tmp_path)
    assert states["ImageExampleGen"] == states["DataGate"] == ["COMPLETE", "CACHED", "COMPLETE"]

    strict = tmp_path / "strict.pbtxt"
    strict.write_text(Path(SCHEMA_FILE).read_text().replace("max: 65535", "max: 50"))
    with pytest.raises(DataStopped, match="split train, feature image/width: Unexpectedly large value: 64"):
        run_to_the_gate(tmp_path, data, str(strict))
    states = executions(tmp_path)
    assert states["ImageExampleGen"][-1] == "CACHED"
    assert states["DataGate"][-1] == "FAILED"


def judge(tmp_path: Path, anomalies: dict[str, anomalies_pb2.Anomalies], splits: dict[str, int], **least: int) -> Path:
    """Run the gate's executor on these findings; returns the verdict's folder."""
    examples, found, verdict = standard_artifacts.Examples(), standard_artifacts.ExampleAnomalies(), DataVerdict()
    for artifact, name in ((examples, "examples"), (found, "anomalies"), (verdict, "verdict")):
        artifact.uri = str(tmp_path / name)
        (tmp_path / name).mkdir()
    kept = sum(splits.values())
    summary = IngestionSummary(read=kept, kept=kept, splits=splits, left_out={}, first_unreadable=[])
    (tmp_path / "examples/summary.json").write_text(summary.model_dump_json())
    found.split_names = json.dumps(list(anomalies))
    for split, finding in anomalies.items():
        (tmp_path / f"anomalies/Split-{split}").mkdir()
        (tmp_path / f"anomalies/Split-{split}/SchemaDiff.pb").write_bytes(finding.SerializeToString())
    Executor().Do(
        {"examples": [examples], "anomalies": [found]},
        {"verdict": [verdict]},
        {"min_photos": json.dumps(least or {"train": 1, "eval": 1})},
    )
    return tmp_path / "verdict"


def test_clean_data_get_a_verdict(tmp_path):
    folder = judge(tmp_path, {"train": anomalies_pb2.Anomalies()}, {"train": 3, "eval": 1})
    assert [file.name for file in folder.iterdir()] == ["verdict.json"]


def test_every_anomaly_of_every_split_is_named(tmp_path):
    train, evaluation = anomalies_pb2.Anomalies(), anomalies_pb2.Anomalies()
    train.anomaly_info["image/format"].description = "Unexpected value: GIF"
    evaluation.anomaly_info["image/height"].description = "0 is too small"
    evaluation.dataset_anomaly_info.description = "too few"
    assert DataStopped.exit_code == REFUSED_BY_GATE
    with pytest.raises(DataStopped) as stopped:
        judge(tmp_path, {"train": train, "eval": evaluation}, {"train": 3, "eval": 1})
    assert "split train, feature image/format: Unexpected value: GIF" in str(stopped.value)
    assert "split eval, feature image/height: 0 is too small" in str(stopped.value)
    assert "split eval, the whole: too few" in str(stopped.value)
    assert not any((tmp_path / "verdict").iterdir())


def test_an_empty_eval_split_stops_the_data(tmp_path):
    with pytest.raises(DataStopped, match="split eval: 0 photographs, at least 1"):
        judge(tmp_path, {"train": anomalies_pb2.Anomalies()}, {"train": 3, "eval": 0})


def test_an_empty_test_split_is_no_harm(tmp_path):
    missing = anomalies_pb2.Anomalies(data_missing=True)
    judge(tmp_path, {"train": anomalies_pb2.Anomalies(), "test": missing}, {"train": 3, "eval": 1, "test": 0})


def test_more_photographs_may_be_asked_for(tmp_path):
    with pytest.raises(DataStopped, match="split train: 3 photographs, at least 5"):
        judge(tmp_path, {"train": anomalies_pb2.Anomalies()}, {"train": 3, "eval": 1}, train=5)


def test_unreadable_anomalies_stop_the_data(tmp_path):
    damaged = anomalies_pb2.Anomalies()
    damaged.anomaly_info["f"].description = "x" * 50
    with pytest.raises(DataStopped, match="split train cannot be read"):
        judge(tmp_path, {"train": _Cut(damaged)}, {"train": 3, "eval": 1})


class _Cut:
    def __init__(self, message):
        self._message = message

    def SerializeToString(self) -> bytes:  # noqa: N802
        return self._message.SerializeToString()[:-3]
