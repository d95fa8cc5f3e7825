"""Rollouts against running servers that were started with the config file."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from photo.errors import ServerUnavailable, TintypeError
from serving.client.options import ConnectionOptions
from serving.rollout.rollout import Rollout
from serving.server import EmbeddedServer, ServerOptions
from tests.tiny_models import write_tiny_model

NAME = "colorizer"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def base_path(tmp_path, model) -> Path:
    for version in ("1", "2", "3"):
        shutil.copytree(model, tmp_path / "base" / version)
    return tmp_path / "base"


@pytest.fixture
def config_file(tmp_path, base_path) -> Path:
    path = tmp_path / "models.config"
    path.write_text(_config(base_path, "model_version_policy { specific { versions: 1 versions: 2 } }"))
    return path


@pytest.fixture
def serve(config_file) -> Iterator[Callable[[], str]]:
    """Start a server of the config file, once more after it was stopped; returns its address."""
    running: list[EmbeddedServer] = []

    def serve() -> str:
        while running:
            running.pop().stop(1)
        server = EmbeddedServer(
            ServerOptions(
                model_config_file=config_file,
                file_system_poll_wait_seconds=0.05,
                max_num_load_retries=0,
                allow_version_labels_for_unavailable_models=True,
            )
        )
        running.append(server.start())
        server.wait_until_available(30)
        return f"localhost:{server.port}"

    yield serve
    while running:
        running.pop().stop(1)


@pytest.fixture
def server(serve) -> str:
    return serve()


@pytest.fixture
def rollout(server, config_file) -> Iterator[Rollout]:
    with Rollout([server], config_file=config_file, load_timeout=15) as rollout:
        yield rollout


def _config(base_path: Path, more: str) -> str:
    entry = f'name: "{NAME}" base_path: "{base_path}" model_platform: "tensorflow"'
    other = f'config {{ name: "other" base_path: "{base_path}" model_platform: "tensorflow" }}'
    return f"# who to ask: the photo desk\nmodel_config_list {{ config {{ {entry} {more} }} {other} }}\n"


def labels(rollout: Rollout) -> dict[str, int]:
    return rollout.status()[0].labels


def available(rollout: Rollout) -> set[int]:
    return rollout.status()[0].available()


def becomes_available(rollout: Rollout, versions: set[int]) -> bool:
    """Whether soon these versions and no others can be asked: the server unloads in its own time."""
    deadline = time.monotonic() + 15
    while available(rollout) != versions and time.monotonic() < deadline:
        time.sleep(0.02)
    return available(rollout) == versions


def test_what_was_promoted_answers_and_is_kept_by_a_restart(rollout, serve, config_file):
    assert rollout.promote(1) == 1
    assert rollout.canary(3) == 3
    assert labels(rollout) == {"stable": 1, "canary": 3}
    assert rollout.promote() == 3
    assert labels(rollout) == {"stable": 3, "canary": 3}
    assert config_file.read_text().startswith("# who to ask: the photo desk\n# tintype rollout: ")
    with Rollout([serve()], config_file=config_file, load_timeout=5) as again:
        assert labels(again) == {"stable": 3, "canary": 3}
        assert [(step.before, step.after) for step in again.history()] == [(None, 1), (1, 3)]
        assert again.rollback() == 1
    with Rollout([serve()], ConnectionOptions(model_name="other")) as other:
        assert other.status()[0].without_label == 3


def test_rollback_goes_back_one_version_a_time_and_what_failed_is_not_promoted_unnamed(rollout):
    for version in (1, 2, 3):
        rollout.promote(version)
    rollout.canary(3)
    assert becomes_available(rollout, {2, 3}), "version 1 was brought in by a rollout and is needed no more"
    assert rollout.rollback() == 2
    assert labels(rollout) == {"stable": 2, "canary": 2}, "what failed as stable must not go on as canary"
    assert becomes_available(rollout, {2}), "who asks without a label is rid of version 3, too"
    assert rollout.rollback() == 1
    assert labels(rollout)["stable"] == 1
    with pytest.raises(TintypeError, match="no earlier stable version"):
        rollout.rollback()
    assert rollout.canary(3) == 3
    with pytest.raises(TintypeError, match=r"version 3 was rolled back at .*promote 3"):
        rollout.promote()
    assert rollout.promote(3) == 3
    assert rollout.rollback() == 1


def test_a_version_that_is_not_there_changes_nothing(rollout, server, config_file):
    rollout.promote(1)
    before = config_file.read_bytes()
    with (
        Rollout([server], config_file=config_file, load_timeout=0.5) as hasty,
        pytest.raises(TintypeError, match=r"no version 7 of 'colorizer': .*it knows 2, 1"),
    ):
        hasty.promote(7)
    assert config_file.read_bytes() == before
    assert labels(rollout) == {"stable": 1}
    assert becomes_available(rollout, {1, 2})


def test_a_version_that_cannot_be_loaded_is_named_with_its_error(rollout, server, base_path, config_file):
    rollout.promote(1)
    before = config_file.read_bytes()
    (base_path / "9").mkdir()
    (base_path / "9" / "saved_model.pb").write_bytes(b"half of a model")
    with (
        Rollout([server], config_file=config_file, load_timeout=1) as hasty,
        pytest.raises(TintypeError, match=r"no version 9 of 'colorizer': .*9/saved_model\.pb is not a SavedModel"),
    ):
        hasty.promote(9)
    assert config_file.read_bytes() == before


def test_a_rollback_passes_over_a_version_that_is_gone(rollout, server, base_path, config_file):
    for version in (1, 2, 3):
        rollout.promote(version)
    shutil.rmtree(base_path / "2")
    assert becomes_available(rollout, {3})
    told: list[str] = []
    with Rollout([server], config_file=config_file, load_timeout=1, tell=told.append) as hasty:
        assert hasty.rollback() == 1
    assert any("no version 2" in line and "going on to the version before it" in line for line in told)
    assert rollout.policy() == "specific 1"


def test_a_labelled_version_stays_loaded_when_newer_ones_are_pushed(serve, config_file, base_path, model):
    config_file.write_text(_config(base_path, ""))
    server = serve()
    with Rollout([server], config_file=config_file, load_timeout=15) as rollout:
        assert becomes_available(rollout, {3})
        rollout.promote(2)
        rollout.canary(3)
        shutil.copytree(model, base_path / "incoming")
        (base_path / "incoming").rename(base_path / "4")
        with Rollout([server], ConnectionOptions(model_name="other")) as other:
            assert becomes_available(other, {4})
        assert labels(rollout) == {"stable": 2, "canary": 3}
        assert rollout.policy() == "specific 2, 3"


def test_the_policy_all_stays(serve, config_file, base_path):
    config_file.write_text(_config(base_path, "model_version_policy { all {} }"))
    with Rollout([serve()], config_file=config_file, load_timeout=15) as rollout:
        assert becomes_available(rollout, {1, 2, 3})
        rollout.promote(1)
        assert rollout.promote() == 3
        assert rollout.policy() == "all"


def test_a_server_that_is_away_changes_nothing_anywhere(rollout, server, config_file, free_port):
    rollout.promote(1)
    before = config_file.read_bytes()
    servers = [server, f"localhost:{free_port}"]
    with (
        Rollout(servers, ConnectionOptions(timeout=0.3), config_file=config_file) as both,
        pytest.raises(ServerUnavailable, match=f"localhost:{free_port} did not answer within 0.3 s"),
    ):
        both.promote(2)
    assert config_file.read_bytes() == before
    assert labels(rollout) == {"stable": 1}


def test_a_file_that_somebody_else_changes_meanwhile_is_theirs(rollout, server, config_file, base_path):
    rollout.promote(1)
    theirs = _config(base_path, 'model_version_policy { all {} } version_labels { key: "gold" value: 2 }')

    def change(_: str) -> None:  # told while it waits for version 3
        config_file.write_text(theirs)

    with (
        Rollout([server], config_file=config_file, load_timeout=15, tell=change) as disturbed,
        pytest.raises(TintypeError, match="somebody else changed"),
    ):
        disturbed.promote(3)
    assert config_file.read_text() == theirs
    assert labels(rollout) == {"gold": 2}


def test_two_at_once_are_refused(rollout, config_file):
    with open(config_file.with_name(".models.config.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TintypeError, match="another rollout is at work"):
            rollout.promote(1)
    assert rollout.promote(1) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read .*models.config: No such file"),
        ("model_config_list { config { nam: 1 } }", 'no ModelServerConfig in text format: 1:30 .*no field named "nam"'),
        ('model_config_list { config { name: "art" } }', "lists no model 'colorizer'; it lists 'art'"),
    ],
)
def test_a_config_file_that_cannot_be_used_says_why(tmp_path, free_port, content, words):
    if content is not None:
        (tmp_path / "models.config").write_text(content)
    with Rollout([f"localhost:{free_port}"], config_file=tmp_path / "models.config") as rollout:
        for action in (rollout.status, rollout.promote, rollout.rollback):
            with pytest.raises(TintypeError, match=words):
                action()


def test_an_address_that_stands_for_several_servers_is_refused(config_file):
    with pytest.raises(ValueError, match="name every one"):
        Rollout(["dns:///colorizer:8500"], config_file=config_file)
