import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tfx.types import channel_utils, standard_artifacts

from components.canary.component import Canary
from components.canary.config import CanaryConfig
from components.canary.executor import Executor, ask
from photo.errors import TintypeError
from serving.client import Colorizer
from serving.client.options import ConnectionOptions
from serving.server import EmbeddedServer, ServerOptions
from tests.components.example_artifacts import png, tinted_photo, write_examples
from tests.tiny_models import write_tiny_model

# A server in a process of its own has to import TensorFlow first.
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    photos = [("sea", png(tinted_photo(seed, height=40 + 3 * seed))) for seed in range(3)]
    return write_examples(tmp_path_factory.mktemp("examples") / "examples", photos)


def try_candidate(tmp_path: Path, examples, *, model_blessed: int | None = None, **config):
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    inputs = {"model": [model], "examples": [examples]}
    if model_blessed is not None:
        inputs["model_blessing"] = [standard_artifacts.ModelBlessing()]
        inputs["model_blessing"][0].set_int_custom_property("blessed", model_blessed)
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(tmp_path / "blessing")
    config = CanaryConfig(**{"requests": 4} | config)
    Executor().Do(inputs, {"blessing": [blessing]}, {"config": config.model_dump_json()})

    report = json.loads((tmp_path / "blessing" / "canary.json").read_text())
    mark = "INFRA_BLESSED" if report["blessed"] else "INFRA_NOT_BLESSED"
    assert sorted(path.name for path in (tmp_path / "blessing").iterdir()) == [mark, "canary.json"]
    assert blessing.get_int_custom_property("blessed") == int(report["blessed"])
    assert report["blessed"] == (not report["reasons"])
    return report


def model_folder(tmp_path: Path) -> Path:
    return tmp_path / "model" / "Format-Serving"


def write_model_answering(folder: Path, answer) -> None:
    """A model with the signatures of the contract whose `serving_default` is `answer`."""
    import tensorflow as tf

    class Odd(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="L")])
        def colorize(self, L):  # noqa: N803
            return {"ab": answer(L)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="name")])
        def describe(self, name):
            count = tf.shape(name)[:1]
            texts = {"recipe": tf.fill(count, "odd"), "fingerprint": tf.fill(count, "odd")}
            return texts | {"size": tf.fill(count, 32), "stride": tf.fill(count, 1)}

    odd = Odd()
    tf.saved_model.save(odd, str(folder), signatures={"serving_default": odd.colorize, "describe": odd.describe})


@slow
def test_a_sound_candidate_is_blessed_with_its_figures(tmp_path, examples):
    write_tiny_model(model_folder(tmp_path), fingerprint="sound")
    report = try_candidate(tmp_path, examples, model_blessed=1)
    assert report["reasons"] == []
    assert report["requests"] == 4
    assert report["photographs"] == 3
    assert report["model"] == {
        "recipe": "tiny",
        "size": 32,
        "stride": 1,
        "fingerprint": "sound",
        "hints": False,
        "sides": [],
    }
    assert 0 < report["latency_ms"]["median"] <= report["latency_ms"]["max"] < 5000
    assert report["startup_seconds"] > 0


def judge(folder: Path, **config) -> dict:
    """What the canary finds when the candidate is served in this process."""
    report = {"reasons": []}
    photos = [tinted_photo(seed) for seed in range(2)]
    with EmbeddedServer(ServerOptions("canary", folder.parent)) as server:
        server.wait_until_available(60)
        with Colorizer(f"localhost:{server.port}", ConnectionOptions(model_name="canary")) as colorizer:
            ask(colorizer, photos, CanaryConfig(**{"requests": 4} | config), report)
    return report


def test_a_candidate_whose_colours_are_not_numbers_is_refused(tmp_path):
    with pytest.raises(TintypeError, match="not numbers"):
        judge(write_tiny_model(tmp_path / "1", ab=(float("nan"), 1.0)))


@pytest.mark.parametrize("ab", [(900.0, 1.0), (1.0, -900.0)])
def test_a_candidate_with_impossible_colours_is_refused(tmp_path, ab):
    with pytest.raises(TintypeError, match=r"a\*b\* are within -128..127"):
        judge(write_tiny_model(tmp_path / "1", ab=ab))


def test_a_candidate_that_answers_in_another_shape_is_refused(tmp_path):
    import tensorflow as tf

    write_model_answering(tmp_path / "1", lambda lightness: tf.concat([lightness] * 3, axis=-1))
    with pytest.raises(TintypeError, match=r"\(1, 32, 32, 3\).*\(1, 32, 32, 2\)"):
        judge(tmp_path / "1")


def test_a_candidate_that_is_too_slow_is_refused_with_its_figures(tmp_path):
    report = judge(write_tiny_model(tmp_path / "1"), max_latency_ms=0.001)
    assert "max_latency_ms is 0.001" in report["reasons"][0]
    assert report["latency_ms"]["median"] > 0.001
    assert judge(tmp_path / "1")["reasons"] == []


@slow
def test_a_candidate_that_does_not_load_is_refused_with_the_servers_words(tmp_path, examples):
    model_folder(tmp_path).mkdir(parents=True)
    (model_folder(tmp_path) / "saved_model.pb").write_bytes(b"garbage")
    report = try_candidate(tmp_path, examples)
    assert "ended before it could be asked" in report["reasons"][0]
    assert "not a SavedModel" in report["reasons"][0]


@slow
def test_a_candidate_that_crashes_its_server_takes_nothing_else_down(tmp_path, examples):
    import tensorflow as tf

    def bring_down(lightness):
        with tf.control_dependencies([tf.raw_ops.Abort(error_msg="the end")]):
            return tf.concat([lightness, lightness], axis=-1)

    write_model_answering(model_folder(tmp_path), bring_down)
    report = try_candidate(tmp_path, examples)
    assert "the server ended while it was asked" in report["reasons"][0]


def test_a_server_that_takes_too_long_is_not_waited_for(tmp_path, examples):
    write_tiny_model(model_folder(tmp_path))
    report = try_candidate(tmp_path, examples, startup_seconds=0.1)
    assert "not ready within 0.1 s" in report["reasons"][0]


def test_a_candidate_the_evaluation_refuses_is_not_even_tried(tmp_path, examples):
    report = try_candidate(tmp_path, examples, model_blessed=0)
    assert "the evaluation does not bless" in report["reasons"][0]
    assert "latency_ms" not in report


def test_without_photographs_nothing_is_blessed(tmp_path):
    write_tiny_model(model_folder(tmp_path))
    report = try_candidate(tmp_path, write_examples(tmp_path / "examples", []))
    assert "no photograph in the split 'eval'" in report["reasons"][0]


@slow
def test_the_server_goes_when_whoever_started_it_is_killed(tmp_path):
    write_tiny_model(tmp_path / "base" / "1")
    script = (
        "import os, signal\n"
        "from components.canary.executor import candidate_server\n"
        f"with candidate_server({str(tmp_path / 'base')!r}) as server:\n"
        "    server.wait_until_ready(60)\n"
        "    print(server.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=os.environ | {"PYTHONPATH": os.getcwd()}, timeout=120
    )
    server = Path("/proc") / str(int(killed.stdout))
    deadline = time.monotonic() + 30
    while server.exists() and "Z" not in (server / "stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the server outlived the process that started it"
        time.sleep(0.1)


def test_the_component_carries_its_config():
    component = Canary(
        model=channel_utils.as_channel([standard_artifacts.Model()]),
        examples=channel_utils.as_channel([standard_artifacts.Examples()]),
        config=CanaryConfig(requests=3),
    )
    assert CanaryConfig.model_validate_json(component.exec_properties["config"]).requests == 3
    assert component.outputs["blessing"].type_name == "InfraBlessing"
