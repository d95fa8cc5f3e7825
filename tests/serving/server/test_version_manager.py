"""The rules by which versions come and go, without TensorFlow: a servable is whatever `load` returns."""

import itertools
import os
import shutil
import threading
import time

import pytest

from serving.server.version_manager import VersionManager, VersionUnavailableError
from serving.server.version_policy import every, latest, specific
from serving.server.version_status import ServableState


def add(base_path, version):
    folder = base_path / "incoming"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"")
    folder.rename(base_path / str(version))


@pytest.fixture
def manage(base_path):
    managers = []

    def manage(load=os.path.basename, **kwargs):
        kwargs = {"poll_wait_seconds": 0.02, "load_retry_interval": 0.02, **kwargs}
        manager = VersionManager("colorizer", str(base_path), load, **kwargs)
        managers.append(manager)
        manager.start()
        return manager

    yield manage
    for manager in managers:
        assert manager.stop()


def states(manager):
    return {status.version: status.state for status in manager.statuses()}


def settle(manager, **expected):
    """Wait for the given states, written as v1="AVAILABLE"."""
    wanted = {int(version[1:]): ServableState[state] for version, state in expected.items()}
    assert manager.wait_for(lambda statuses: {s.version: s.state for s in statuses} == wanted, 5), states(manager)


def served(manager, number=None):
    with manager.serve(number) as (version, servable):
        assert servable == str(version)
        return version


def test_the_newest_version_is_served_and_the_older_ones_are_left_alone(manage, base_path):
    for version in (2, 10, 9):
        add(base_path, version)
    manager = manage()
    settle(manager, v10="AVAILABLE")
    assert served(manager) == 10


def test_a_new_version_is_available_before_the_old_one_is_retired(manage, base_path):
    add(base_path, 1)
    may_load = threading.Event()
    may_load.set()

    def load(folder):
        assert may_load.wait(5)
        return os.path.basename(folder)

    manager = manage(load)
    settle(manager, v1="AVAILABLE")
    may_load.clear()
    add(base_path, 2)
    settle(manager, v1="AVAILABLE", v2="LOADING")
    time.sleep(0.1)
    assert served(manager) == 1
    may_load.set()
    settle(manager, v1="END", v2="AVAILABLE")
    assert served(manager) == 2
    with pytest.raises(VersionUnavailableError), manager.serve(1):
        pass


def test_a_version_is_dropped_only_after_its_last_request_came_back(manage, base_path):
    add(base_path, 1)
    manager = manage()
    settle(manager, v1="AVAILABLE")
    with manager.serve() as (version, servable), manager.serve(1):
        add(base_path, 2)
        settle(manager, v1="UNLOADING", v2="AVAILABLE")
        assert (version, servable) == (1, "1")
        assert served(manager) == 2
        with pytest.raises(VersionUnavailableError), manager.serve(1):
            pass
        time.sleep(0.1)
        assert states(manager)[1] is ServableState.UNLOADING
    settle(manager, v1="END", v2="AVAILABLE")


def test_the_last_request_frees_the_servable(manage, base_path):
    class Servable:
        freed = threading.Event()

        def __del__(self):
            self.freed.set()

    add(base_path, 1)
    manager = manage(lambda folder: Servable())
    settle(manager, v1="AVAILABLE")
    add(base_path, 2)
    settle(manager, v1="END", v2="AVAILABLE")
    assert Servable.freed.wait(5)


def test_a_broken_version_ends_with_its_error_and_the_good_one_stays(manage, base_path):
    attempts = []

    def load(folder):
        if os.path.basename(folder) == "2":
            attempts.append(time.monotonic())
            raise ValueError("half a model")
        return os.path.basename(folder)

    add(base_path, 1)
    manager = manage(load, max_num_load_retries=3, load_retry_interval=0.05)
    settle(manager, v1="AVAILABLE")
    add(base_path, 2)
    settle(manager, v1="AVAILABLE", v2="END")
    assert len(attempts) == 4
    assert min(later - sooner for sooner, later in itertools.pairwise(attempts)) >= 0.05
    time.sleep(0.15)
    assert len(attempts) == 4
    assert manager.statuses()[1].error_message == "half a model"
    assert manager.statuses()[1].error_code != 0
    assert served(manager) == 1


def test_a_load_that_succeeds_at_a_retry_is_served_without_an_error(manage, base_path):
    attempts = []

    def load(folder):
        attempts.append(folder)
        if len(attempts) < 3:
            raise OSError("not all there yet")
        return os.path.basename(folder)

    add(base_path, 1)
    manager = manage(load)
    settle(manager, v1="AVAILABLE")
    assert manager.statuses()[0].error_message == ""
    assert manager.statuses()[0].error_code == 0


def test_a_newer_version_does_not_wait_for_the_retries_of_a_broken_one(manage, base_path):
    def load(folder):
        if os.path.basename(folder) == "2":
            raise ValueError("broken")
        return os.path.basename(folder)

    add(base_path, 1)
    manager = manage(load, load_retry_interval=3600)
    settle(manager, v1="AVAILABLE")
    add(base_path, 2)
    settle(manager, v1="AVAILABLE", v2="LOADING")
    add(base_path, 3)
    settle(manager, v1="END", v2="END", v3="AVAILABLE")


def test_a_broken_version_is_tried_anew_after_its_folder_was_gone(manage, base_path):
    broken = threading.Event()
    broken.set()

    def load(folder):
        if broken.is_set():
            raise ValueError("broken")
        return os.path.basename(folder)

    add(base_path, 1)
    manager = manage(load, max_num_load_retries=0)
    settle(manager, v1="END")
    broken.clear()
    time.sleep(0.1)
    settle(manager, v1="END")
    shutil.rmtree(base_path / "1")
    time.sleep(0.1)
    add(base_path, 1)
    settle(manager, v1="AVAILABLE")


def test_removing_the_newest_version_rolls_back_to_the_older_one(manage, base_path):
    add(base_path, 1)
    manager = manage()
    settle(manager, v1="AVAILABLE")
    add(base_path, 2)
    settle(manager, v1="END", v2="AVAILABLE")
    shutil.rmtree(base_path / "2")
    settle(manager, v1="AVAILABLE", v2="END")
    assert served(manager) == 1


def test_a_version_whose_folder_vanishes_is_unloaded_and_another_one_is_served_when_it_comes(manage, base_path):
    add(base_path, 5)
    manager = manage()
    settle(manager, v5="AVAILABLE")
    shutil.rmtree(base_path / "5")
    settle(manager, v5="END")
    add(base_path, 3)
    settle(manager, v3="AVAILABLE", v5="END")


def test_the_last_version_can_be_kept_when_its_folder_vanishes_and_is_replaced_when_another_comes(manage, base_path):
    add(base_path, 5)
    manager = manage(keep_last=True)
    settle(manager, v5="AVAILABLE")
    shutil.rmtree(base_path / "5")
    time.sleep(0.1)
    assert served(manager) == 5
    add(base_path, 3)
    settle(manager, v3="AVAILABLE", v5="END")


def test_a_base_path_that_vanishes_and_returns_changes_nothing(manage, base_path):
    add(base_path, 1)
    loads = []

    def load(folder):
        loads.append(folder)
        return os.path.basename(folder)

    manager = manage(load)
    settle(manager, v1="AVAILABLE")
    base_path.rename(base_path.with_name("away"))
    time.sleep(0.1)
    assert served(manager) == 1
    base_path.with_name("away").rename(base_path)
    time.sleep(0.1)
    settle(manager, v1="AVAILABLE")
    assert len(loads) == 1


def test_polling_once_takes_what_is_there_and_nothing_later(manage, base_path):
    add(base_path, 1)
    manager = manage(poll_wait_seconds=0)
    settle(manager, v1="AVAILABLE")
    add(base_path, 2)
    time.sleep(0.1)
    settle(manager, v1="AVAILABLE")


def test_stop_ends_the_waiting_of_a_retry_and_every_version(manage, base_path):
    def load(folder):
        if os.path.basename(folder) == "2":
            raise ValueError("broken")
        return os.path.basename(folder)

    add(base_path, 1)
    manager = manage(load, load_retry_interval=3600)
    settle(manager, v1="AVAILABLE")
    add(base_path, 2)
    settle(manager, v1="AVAILABLE", v2="LOADING")
    assert manager.stop(5)  # all threads ended, in time
    settle(manager, v1="END", v2="END")


def test_an_empty_base_path_is_said_once(manage, base_path, caplog):
    def complaints():
        return [record.message for record in caplog.records if "no versions" in record.message]

    manage()
    deadline = time.monotonic() + 5
    while not complaints() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.15)  # several polls more
    assert len(complaints()) == 1
    assert str(base_path) in complaints()[0]


def test_a_policy_chooses_the_greatest_numbers_all_or_the_ones_it_names():
    found = [3, 20, 1]
    assert latest()(found) == {20}
    assert latest(2)(found) == {3, 20}
    assert latest(9)(found) == every(found) == {1, 3, 20}
    assert specific([1, 7])(found) == {1, 7}
    assert latest(2)([]) == set()


def test_the_versions_of_a_policy_are_served_together_and_follow_what_is_found(manage, base_path):
    for version in (1, 2, 3):
        add(base_path, version)
    manager = manage(policy=latest(2))
    settle(manager, v2="AVAILABLE", v3="AVAILABLE")
    assert (served(manager), served(manager, 2)) == (3, 2)
    add(base_path, 4)
    settle(manager, v2="END", v3="AVAILABLE", v4="AVAILABLE")


def test_a_changed_policy_loads_what_is_new_before_it_unloads_the_last_of_the_old(manage, base_path):
    for version in (1, 2, 3):
        add(base_path, version)
    may_load = threading.Event()

    def load(folder):
        assert os.path.basename(folder) != "1" or may_load.wait(5)
        return os.path.basename(folder)

    manager = manage(load, policy=specific([2, 3]))
    settle(manager, v2="AVAILABLE", v3="AVAILABLE")
    manager.reconfigure(str(base_path), specific([1]))
    settle(manager, v1="LOADING", v2="END", v3="AVAILABLE")
    assert served(manager) == 3
    may_load.set()
    settle(manager, v1="AVAILABLE", v2="END", v3="END")


def test_a_version_that_is_asked_for_and_not_there_is_said_and_the_others_are_kept(manage, base_path, caplog):
    add(base_path, 1)
    manager = manage(policy=specific([1, 7]), keep_last=True)
    settle(manager, v1="AVAILABLE")
    assert "asks for 7, not found" in caplog.text
    manager.reconfigure(str(base_path), specific([7]))
    time.sleep(0.1)
    settle(manager, v1="AVAILABLE")
    add(base_path, 7)
    settle(manager, v1="END", v7="AVAILABLE")


def test_another_base_path_brings_its_versions(manage, base_path, tmp_path):
    def load(folder):
        if os.path.dirname(folder) == str(base_path):
            raise ValueError("broken")
        return os.path.basename(folder)

    add(base_path, 1)
    manager = manage(load, max_num_load_retries=0)
    settle(manager, v1="END")
    other = tmp_path / "other"
    other.mkdir()
    add(other, 1)
    manager.reconfigure(str(other), latest())
    settle(manager, v1="AVAILABLE")


def test_a_broken_version_does_not_keep_the_others_of_its_policy_waiting(manage, base_path):
    loading = []

    def load(folder):
        loading.append(folder)
        assert len(loading) == 1, "two at a time"
        time.sleep(0.02)
        loading.pop()
        if os.path.basename(folder) == "3":
            raise ValueError("broken")
        return os.path.basename(folder)

    for version in (1, 2, 3):
        add(base_path, version)
    manager = manage(load, policy=every, load_retry_interval=0.01, max_num_load_retries=10)
    settle(manager, v1="AVAILABLE", v2="AVAILABLE", v3="END")
    assert manager.statuses()[2].error_message == "broken"


def test_a_retired_model_is_unloaded_after_its_last_request_and_polled_no_more(manage, base_path):
    add(base_path, 1)
    manager = manage()
    settle(manager, v1="AVAILABLE")
    with manager.serve():
        manager.retire()
        settle(manager, v1="UNLOADING")
        add(base_path, 2)
        time.sleep(0.1)
        settle(manager, v1="UNLOADING")
    settle(manager, v1="END")
    with pytest.raises(VersionUnavailableError), manager.serve():
        pass
