import multiprocessing
import os
import time
from pathlib import Path

import pytest
import tensorflow as tf

from components.pusher import publish as publish_module
from components.pusher.publish import LOCK_FILE, TEMPORARY_PREFIX, publish
from photo.errors import TintypeError
from serving.model.version_folders import list_versions, newest_version


def write_model(folder: Path, *, megabytes: float = 0.01, mark: str = "a") -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "assets").mkdir()
    (folder / "assets.extra").mkdir()
    (folder / "saved_model.pb").write_text(mark)
    (folder / "variables" / "variables.index").write_text("index")
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(b"\7" * int(megabytes * 2**20))
    (folder / "assets.extra" / "tf_serving_warmup_requests").write_text("requests")
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
    }


def visible(base: Path) -> list[str]:
    return sorted(name for name in os.listdir(base) if name != LOCK_FILE)


@pytest.fixture
def model(tmp_path) -> Path:
    return write_model(tmp_path / "model")


def test_a_push_makes_a_whole_version_that_anyone_may_read(model, tmp_path):
    base = tmp_path / "new" / "serving" / "colorizer"
    started = int(time.time())
    published = publish(str(model), str(base), keep_versions=3)
    assert published.version >= started
    assert published.path == str(base / str(published.version))
    assert visible(base) == [str(published.version)]
    assert contents(Path(published.path)) == contents(model)
    plain = tmp_path / "plain"
    plain.mkdir()
    assert Path(published.path).stat().st_mode == plain.stat().st_mode


def test_versions_rise_even_when_the_clock_does_not(model, tmp_path):
    ahead = int(time.time()) + 10_000
    write_model(tmp_path / "base" / str(ahead))
    first = publish(str(model), str(tmp_path / "base"), keep_versions=9)
    second = publish(str(model), str(tmp_path / "base"), keep_versions=9)
    assert (first.version, second.version) == (ahead + 1, ahead + 2)


@pytest.mark.parametrize(("keep", "staying"), [(1, 2), (2, 2), (3, 3), (9, 6)])
def test_old_versions_go_but_never_the_one_being_served(model, tmp_path, keep, staying):
    base = tmp_path / "base"
    for number in (1, 2, 10, 9, 11):
        write_model(base / str(number))
    (base / "README").write_text("not a version")
    (base / "12-draft").mkdir()
    published = publish(str(model), str(base), keep_versions=keep)
    numbers = [version.number for version in list_versions(str(base))]
    assert numbers == [1, 2, 9, 10, 11, published.version][-staying:]
    assert published.removed == [1, 2, 9, 10, 11][: 6 - staying]
    assert {"README", "12-draft"} <= set(visible(base))


def test_the_newest_version_is_the_largest_complete_one(tmp_path):
    assert newest_version(str(tmp_path / "nowhere")) is None
    for name in ("9", "10", ".tmp-99-ab", "-1", "1.5", "x7"):
        write_model(tmp_path / name)
    (tmp_path / "11").mkdir()
    assert newest_version(str(tmp_path)) == (10, str(tmp_path / "10"), True)


def test_a_folder_without_a_model_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TintypeError, match=r"empty holds no saved_model\.pb"):
        publish(str(tmp_path / "empty"), str(tmp_path / "base"), keep_versions=1)
    assert not (tmp_path / "base").exists()


def test_a_base_path_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TintypeError, match=r"cannot push .*file/base"):
        publish(str(model), str(tmp_path / "file" / "base"), keep_versions=1)
    with pytest.raises(TintypeError, match="nosuchstore"):
        publish(str(model), "nosuchstore://bucket/model", keep_versions=1)


def test_a_push_killed_at_any_moment_leaves_no_half_version_and_the_next_one_cleans_up(tmp_path):
    base = tmp_path / "base"
    write_model(base / "5", megabytes=1)
    model = write_model(tmp_path / "model", megabytes=96, mark="b")
    expected = contents(model)
    process = multiprocessing.get_context("fork").Process
    interrupted = 0
    for delay in (0.0, 0.005, 0.02, 0.05, 0.1, 0.2):
        push = process(target=publish, args=(str(model), str(base)), kwargs={"keep_versions": 2})
        push.start()
        deadline = time.monotonic() + 60
        while not any(name.startswith(TEMPORARY_PREFIX) for name in os.listdir(base)) and push.is_alive():
            assert time.monotonic() < deadline, "the push never started to copy"
        time.sleep(delay)
        push.kill()
        push.join()
        interrupted += push.exitcode != 0
        for name in visible(base):
            if name.isdigit() and name != "5":
                assert contents(base / name) == expected
        assert newest_version(str(base)) is not None
    assert interrupted, "no kill hit a running push: nothing was tried"

    published = publish(str(model), str(base), keep_versions=1)
    assert [name for name in visible(base) if not name.isdigit()] == []
    assert contents(Path(published.path)) == expected


def test_a_removal_that_is_interrupted_leaves_no_half_version(model, tmp_path, monkeypatch):
    base = tmp_path / "base"
    for number in (1, 2):
        write_model(base / str(number))

    def fail(path):
        raise OSError(f"disk gone under {path}")

    monkeypatch.setattr(publish_module.shutil, "rmtree", fail)
    published = publish(str(model), str(base), keep_versions=1)
    monkeypatch.undo()
    assert published.removed == [1]
    assert [version.number for version in list_versions(str(base))] == [2, published.version]
    publish(str(model), str(base), keep_versions=3)
    assert all(name.isdigit() for name in visible(base))


def test_two_pushes_at_once_both_arrive(tmp_path):
    model = write_model(tmp_path / "model", megabytes=64)
    process = multiprocessing.get_context("fork").Process
    pushes = [
        process(target=publish, args=(str(model), str(tmp_path / "base")), kwargs={"keep_versions": 5})
        for _ in range(3)
    ]
    for push in pushes:
        push.start()
    for push in pushes:
        push.join(60)
    assert [push.exitcode for push in pushes] == [0, 0, 0]
    versions = list_versions(str(tmp_path / "base"))
    assert len(versions) == 3
    assert all(contents(Path(version.path)) == contents(model) for version in versions)


def test_an_object_store_gets_what_makes_it_a_model_last_and_loses_it_first(model, monkeypatch):
    base = "ram://order/colorizer"
    for number in (7, 8):
        tf.io.gfile.makedirs(f"{base}/{number}/variables")
        for name in ("saved_model.pb", "variables/variables.index"):
            tf.io.gfile.GFile(f"{base}/{number}/{name}", "w").write("old")
    tf.io.gfile.makedirs(f"{base}/6/variables")
    tf.io.gfile.GFile(f"{base}/6/variables/variables.index", "w").write("of a push that died")

    log = []
    copy, remove, rmtree = tf.io.gfile.copy, tf.io.gfile.remove, tf.io.gfile.rmtree
    monkeypatch.setattr(tf.io.gfile, "copy", lambda *a, **k: (log.append(("copy", a[1])), copy(*a, **k)))
    monkeypatch.setattr(tf.io.gfile, "remove", lambda *a: (log.append(("remove", a[0])), remove(*a)))
    monkeypatch.setattr(tf.io.gfile, "rmtree", lambda *a: (log.append(("rmtree", a[0])), rmtree(*a)))
    published = publish(str(model), base, keep_versions=1)

    written = [path for action, path in log if action == "copy"]
    assert len(written) == 4
    assert written[-1] == f"{published.path}/saved_model.pb"
    removals = [entry for entry in log if entry[0] != "copy"]
    assert removals == [
        ("remove", f"{base}/7/saved_model.pb"),
        ("rmtree", f"{base}/7"),
        ("rmtree", f"{base}/6"),
    ]
    for name, data in contents(model).items():
        if data is not None:
            assert tf.io.gfile.GFile(f"{published.path}/{name}", "rb").read() == data
    assert [version.number for version in list_versions(base)] == [8, published.version]


def test_an_object_store_push_that_dies_leaves_no_model_and_the_next_goes_above_it(model, monkeypatch):
    base = "ram://dying/colorizer"
    copy = tf.io.gfile.copy

    def copy_until_the_network_goes(source, target, overwrite=False):
        if target.endswith("saved_model.pb"):
            raise tf.errors.UnavailableError(None, None, "network gone")
        copy(source, target, overwrite)

    monkeypatch.setattr(tf.io.gfile, "copy", copy_until_the_network_goes)
    with pytest.raises(TintypeError, match="network gone"):
        publish(str(model), base, keep_versions=1)
    monkeypatch.undo()
    (dead,) = list_versions(base)
    assert not dead.complete
    assert newest_version(base) is None
    published = publish(str(model), base, keep_versions=1)
    assert published.version > dead.number
    assert newest_version(base).number == published.version


def test_a_version_may_be_given_and_is_never_replaced(model, tmp_path):
    base = tmp_path / "base"
    assert publish(str(model), str(base), keep_versions=None, version=1).path == str(base / "1")
    with pytest.raises(TintypeError, match="it has a version 1 already"):
        publish(str(model), str(base), keep_versions=None, version=1)
    publish(str(model), str(base), keep_versions=None)
    assert len(list_versions(str(base))) == 2  # nothing is retired
