"""One component at a time, as orchestrators call it: retries, caching, and a missing input that must not pass."""

from pathlib import Path

import pytest

from components.image_example_gen.photo_schema import Executor as SchemaExecutor
from pipeline.config import load_config
from pipeline.runners.component_run import run_component
from pipeline.runners.metadata_connection import metadata_of_installation


@pytest.fixture
def call(tmp_path):
    def run(component, run):
        return run_component(
            component,
            load_config("demo"),
            run=run,
            data=str(tmp_path / "photographs"),
            output=str(tmp_path),
            destination=str(tmp_path / "serving"),
            connection=metadata_of_installation("", str(tmp_path)),
        )

    return run


def test_a_component_whose_inputs_are_missing_fails(call):
    with pytest.raises(RuntimeError, match=r"Trainer did not run.*first"):
        call("Trainer", "first")


def test_a_killed_attempt_leaves_nothing_to_the_retry_which_later_runs_reuse(call, tmp_path, monkeypatch):
    def killed(self, input_dict, output_dict, exec_properties):
        (Path(output_dict["schema"][0].uri) / "half.written").touch()
        raise KeyboardInterrupt  # as a signal does: no handler of TFX's runs

    with monkeypatch.context() as patch:
        patch.setattr(SchemaExecutor, "Do", killed)
        with pytest.raises(KeyboardInterrupt):
            call("ImportSchemaGen", "first")
    assert list(tmp_path.rglob("half.written"))

    retried = call("ImportSchemaGen", "first")
    assert retried["state"] == "ran"
    assert [path.name for path in Path(retried["outputs"]["schema"]).iterdir()] == ["schema.pbtxt"]

    monkeypatch.setattr(SchemaExecutor, "Do", killed)
    assert call("ImportSchemaGen", "first") == retried, "what has succeeded in a run is not run again"
    assert call("ImportSchemaGen", "second") == {**retried, "state": "cached"}
