import json
from pathlib import Path

import pytest
from tfx.types import channel_utils, standard_artifacts

from components.pusher.component import Pusher
from components.pusher.config import PushConfig
from components.pusher.executor import Executor
from serving.model.version_folders import newest_version


def push(tmp_path: Path, *, model_blessed: int | None = 1, infra_blessed: int | None = 1):
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    serving = tmp_path / "model" / "Format-Serving"
    serving.mkdir(parents=True, exist_ok=True)
    (serving / "saved_model.pb").write_text("model")
    blessings = {}
    for key, artifact, blessed in (
        ("model_blessing", standard_artifacts.ModelBlessing(), model_blessed),
        ("infra_blessing", standard_artifacts.InfraBlessing(), infra_blessed),
    ):
        artifact.uri = str(tmp_path / key)
        if blessed is not None:
            artifact.set_int_custom_property("blessed", blessed)
        blessings[key] = [artifact]
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(tmp_path / "pushed")
    config = PushConfig(destination=str(tmp_path / "base"), keep_versions=2)
    Executor().Do({"model": [model], **blessings}, {"pushed_model": [pushed]}, {"config": config.model_dump_json()})
    return pushed, json.loads((tmp_path / "pushed" / "pushed.json").read_text())


def test_a_model_both_gates_bless_is_pushed_and_the_artifact_says_where(tmp_path):
    pushed, report = push(tmp_path)
    newest = newest_version(str(tmp_path / "base"))
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == newest.path
    assert pushed.get_string_custom_property("pushed_version") == str(newest.number)
    assert report == {
        "pushed": True,
        "reasons": [],
        "destination": newest.path,
        "version": newest.number,
        "removed": [],
    }


@pytest.mark.parametrize(("model_blessed", "infra_blessed"), [(0, 1), (1, 0), (0, 0), (None, 1), (1, None)])
def test_a_model_either_gate_does_not_bless_touches_nothing(tmp_path, model_blessed, infra_blessed):
    pushed, report = push(tmp_path, model_blessed=model_blessed, infra_blessed=infra_blessed)
    assert not (tmp_path / "base").exists()
    assert pushed.get_int_custom_property("pushed") == 0
    assert not pushed.has_custom_property("pushed_destination")
    named = [key for key in ("model_blessing", "infra_blessing") if any(key in reason for reason in report["reasons"])]
    assert named == [
        key for key, blessed in (("model_blessing", model_blessed), ("infra_blessing", infra_blessed)) if blessed != 1
    ]


def test_the_component_carries_its_config_and_demands_a_destination():
    channels = {
        "model": channel_utils.as_channel([standard_artifacts.Model()]),
        "model_blessing": channel_utils.as_channel([standard_artifacts.ModelBlessing()]),
        "infra_blessing": channel_utils.as_channel([standard_artifacts.InfraBlessing()]),
    }
    component = Pusher(**channels, config=PushConfig(destination="/serving"))
    assert component.outputs["pushed_model"].type_name == "PushedModel"
    assert PushConfig.model_validate_json(component.exec_properties["config"]).destination == "/serving"
    with pytest.raises(ValueError, match="destination"):
        Pusher(**channels, config=PushConfig())
