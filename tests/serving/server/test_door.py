"""The door of a kept server, with sockets alone."""

import stat
import threading
import time
from pathlib import Path

import pytest

from serving.server.door import Door, enter, knock, open_door


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    return Path("a.door")


@pytest.fixture
def door(path):
    """A door that is watched, and the event that it was left idle."""
    idle = threading.Event()
    door = Door(open_door(path).detach(), {"address": "unix:here"})
    door.watch(idle.set)
    yield idle
    door.close()


def visit(path, keep_for):
    return enter(knock(path), keep_for=keep_for, patience=10)


def test_a_visitor_is_told_where_the_server_answers_and_nobody_else_may_come(door, path):
    inside = visit(path, 0.0)
    assert inside.greeting["address"] == "unix:here"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    inside.close()


def test_the_server_is_idle_when_the_last_visitor_has_been_gone_as_long_as_it_asked(door, path):
    first, second = visit(path, 0.2), visit(path, 0.2)
    first.close()
    assert not door.wait(0.6)
    left = time.monotonic()
    second.close()
    assert door.wait(10)
    assert time.monotonic() - left >= 0.2
    assert knock(path) is None


def test_a_look_through_the_door_keeps_nobody_up(door, path):
    visit(path, 0.5).close()
    looks = 0
    while (connection := knock(path)) is not None and looks < 200:
        connection.close()
        looks += 1
        time.sleep(0.05)
    assert door.wait(0.5)


@pytest.mark.parametrize("word", [b"for ever\n", b"nan\n", b"inf\n", b"-5\n", b"\xff\x00" * 5000, b"\n"])
def test_what_is_no_number_of_seconds_is_none(door, path, word):
    connection = knock(path)
    connection.sendall(word)
    connection.close()
    assert door.wait(10)


def test_a_visitor_learns_that_the_server_is_gone(path):
    listener = open_door(path)
    connection = knock(path)
    listener.close()
    assert enter(connection, keep_for=1, patience=10) is None
    assert knock(path) is None
    open_door(path).close()  # in the place of what it left
    with pytest.raises(OSError, match="No such file"):
        open_door(Path("nowhere") / path)


def test_a_server_that_hangs_is_not_waited_for_longer_than_one_has_patience(path):
    with open_door(path), pytest.raises(TimeoutError):
        enter(knock(path), keep_for=1, patience=0.1)
