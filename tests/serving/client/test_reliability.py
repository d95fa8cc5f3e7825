"""What the client does when servers fail, come and go, and when it is told to stop."""

import contextlib
import os
import socket
import threading
import time

import grpc
import numpy as np
import pytest
from PIL import Image

from photo.encoding import encode_photo
from photo.errors import ClientClosed, PhotoError, ServerRefused, ServerUnavailable
from serving.client import Colorizer, Retry
from serving.client.options import ConnectionOptions
from tests.serving.wire_server import WireServer, running

GRAY = np.full((24, 30, 3), 128, np.uint8)


@pytest.fixture
def colorizer(wire_server):
    with Colorizer(wire_server.address, ConnectionOptions(timeout=10, retry=Retry(first_pause=0.01))) as colorizer:
        colorizer.describe()
        yield colorizer


def photos(count: int) -> list[np.ndarray]:
    return [np.full((8 + number, 10, 3), 100 + number, np.uint8) for number in range(count)]


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name not in ("OK", "UNAVAILABLE")])
def test_only_unavailable_is_tried_again(colorizer, wire_server, code):
    wire_server.failures = [(code, "no")]
    with pytest.raises((ServerRefused, ServerUnavailable)) as caught:
        colorizer.describe()
    assert len(wire_server.requests) == 2  # the fixture's and this one
    if code is not grpc.StatusCode.DEADLINE_EXCEEDED:
        assert caught.value.code == code.name


def test_a_call_that_a_stopping_server_cut_off_is_tried_again(colorizer, wire_server):
    wire_server.failures = [(grpc.StatusCode.CANCELLED, "CANCELLED")]
    assert colorizer.describe().size > 0
    assert wire_server.failures == []


def test_attempts_may_be_bounded(wire_server):
    wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "queue is full")] * 100
    retry = Retry(first_pause=0.001, max_attempts=3)
    with (
        Colorizer(wire_server.address, ConnectionOptions(retry=retry)) as colorizer,
        pytest.raises(ServerUnavailable, match=r"localhost:\d+ was unavailable, 3 times: queue is full"),
    ):
        colorizer.describe()
    assert len(wire_server.requests) == 3


def test_token_and_metadata_come_with_every_request(wire_server):
    with Colorizer(
        wire_server.address, ConnectionOptions(token="secret", metadata={"x-tenant": "museum"})
    ) as colorizer:
        colorizer.colorize(GRAY)
    for received in wire_server.metadata:
        assert (received["authorization"], received["x-tenant"]) == ("Bearer secret", "museum")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"token": "secret"}, "token would cross the network"),
        ({"metadata": {"X-Tenant": "a"}}, "metadata key"),
        ({"token": "line\nbreak"}, "printable"),
        ({"compression": "zip"}, "gzip"),
        ({"canary_share": 1.5}, "canary_share"),
        ({"canary_share": 0.5, "version_label": "stable"}, "leave model_version and version_label out"),
        ({"max_message_bytes": 0}, "max_message_bytes"),
    ],
)
def test_a_wrong_argument_is_named_and_no_secret_shown(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        Colorizer("colorizer.example.org:8500", ConnectionOptions(**arguments))
    assert "secret" not in str(caught.value)
    assert "line" not in str(caught.value)


def test_compression_makes_requests_small(wire_server):
    sent = {}
    for compression in (None, "gzip"):
        with relay(wire_server.address) as (address, count):
            with Colorizer(address, ConnectionOptions(compression=compression)) as colorizer:
                colorizer.predict_ab(np.full((1, 256, 256, 1), 50, np.float32))
            sent[compression] = count()
    assert sent[None] > 256 * 256 * 4
    assert sent["gzip"] < sent[None] / 20


@contextlib.contextmanager
def relay(address: str):
    """Pass bytes on to a server, and count those on their way to it."""
    counted = 0
    host, port = address.rsplit(":", 1)
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket, counts: bool) -> None:
        nonlocal counted
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                counted += len(data) if counts else 0
                target.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((host, int(port)))
                opened.extend((near, far))
                for ends in ((near, far, True), (far, near, False)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    opened: list[socket.socket] = []
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", lambda: counted
    finally:
        for end in (listener, *opened):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # close alone would leave the thread that accepts waiting, and answering
            end.close()


def test_an_answer_larger_than_allowed_is_refused(wire_server):
    with Colorizer(wire_server.address, ConnectionOptions(max_message_bytes=50_000)) as colorizer:
        colorizer.predict_ab(np.zeros((1, 32, 32, 1), np.float32))
        with pytest.raises(ServerRefused, match="RESOURCE_EXHAUSTED"):
            colorizer.predict_ab(np.zeros((1, 100, 100, 1), np.float32))


def ask_until_both_answer(colorizer: Colorizer, one: WireServer, two: WireServer) -> None:
    """The second connection may take a moment."""
    for _ in range(500):
        colorizer.describe()
        if one.requests and two.requests:
            return
    pytest.fail("only one of the servers is ever asked")


def test_requests_spread_over_servers_and_a_dead_one_is_passed_over():
    one, two = WireServer(), WireServer()
    with contextlib.ExitStack() as dying, running(one):
        dying.enter_context(running(two))
        addresses = ",".join(served.address.replace("localhost", "127.0.0.1") for served in (one, two))
        with Colorizer(f"ipv4:{addresses}", ConnectionOptions(timeout=10)) as colorizer:
            ask_until_both_answer(colorizer, one, two)
            before = len(one.requests), len(two.requests)
            for _ in range(20):
                colorizer.colorize(GRAY)
            assert len(one.requests) - before[0] == len(two.requests) - before[1] == 10
            dying.close()
            for _ in range(20):
                colorizer.colorize(GRAY)
            assert len(one.requests) >= before[0] + 30


def test_requests_on_a_server_that_dies_are_asked_again_of_another():
    one, two = WireServer(), WireServer()
    with running(one), running(two), contextlib.ExitStack() as dying:
        through, _ = dying.enter_context(relay(two.address))
        with Colorizer(
            f"ipv4:{one.address.replace('localhost', '127.0.0.1')},{through}", ConnectionOptions(timeout=10)
        ) as colorizer:
            ask_until_both_answer(colorizer, one, two)
            two.released.clear()
            outcomes = colorizer.colorize_many([GRAY] * 8, concurrency=4)
            threading.Timer(0.3, dying.close).start()
            assert [outcome.error for outcome in outcomes] == [None] * 8
            assert two.at_once > 0  # some were indeed under way there
            two.released.set()


def test_servers_with_different_versions_are_not_described_over_and_over():
    one, two = WireServer(version=1, size=32), WireServer(version=2, size=48)
    with running(one), running(two):
        addresses = ",".join(served.address.replace("localhost", "127.0.0.1") for served in (one, two))
        with Colorizer(f"ipv4:{addresses}", ConnectionOptions(timeout=10)) as colorizer:
            for _ in range(40):
                colorizer.colorize(GRAY)
    assert 2 <= (one.requests + two.requests).count("describe") <= 6


def test_a_share_of_the_photographs_meets_the_canary_and_always_the_same_ones(wire_server):
    with Colorizer(wire_server.address, ConnectionOptions(canary_share=0.3)) as colorizer:
        chosen = []
        for _ in range(2):
            wire_server.labels.clear()
            for photo in photos(150):
                colorizer.colorize(photo)
            colored = np.array(wire_server.requests[-len(wire_server.labels) :]) == "serving_default"
            chosen.append(list(np.array(wire_server.labels)[colored]))
        assert chosen[0] == chosen[1]
        assert 25 < chosen[0].count("canary") < 65
        assert set(chosen[0]) == {"canary", "stable"}

        photo = photos(1)[0]
        encoded = encode_photo(photo, "PNG")
        for same in (photo, encoded, Image.fromarray(photo)):
            colorizer.colorize(same)
        assert len(set(wire_server.labels[-3:])) == 1


def test_nothing_is_labelled_unless_asked(wire_server):
    with Colorizer(wire_server.address) as colorizer:
        colorizer.colorize(GRAY)
    with Colorizer(wire_server.address, ConnectionOptions(canary_share=1.0, canary_label="trial")) as colorizer:
        colorizer.colorize(GRAY)
    assert wire_server.labels == ["", "", "trial", "trial"]


def test_many_come_back_in_order_with_the_errors_among_them(colorizer, tmp_path):
    given = [*photos(9), tmp_path / "missing.jpg", *photos(3)]
    outcomes = list(colorizer.colorize_many(iter(given), concurrency=4))
    assert [outcome.photo is photo for outcome, photo in zip(outcomes, given, strict=True)] == [True] * 13
    assert [number for number, outcome in enumerate(outcomes) if outcome.error] == [9]
    assert isinstance(outcomes[9].error, PhotoError)
    for outcome, photo in zip(outcomes, given, strict=True):
        if outcome.error is None:
            np.testing.assert_array_equal(outcome.colored, colorizer.colorize(photo))


def test_many_are_bounded_in_requests_and_in_reading_ahead(colorizer, wire_server):
    wire_server.released.clear()
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield GRAY

    threading.Timer(0.3, wire_server.released.set).start()
    outcomes = colorizer.colorize_many(endless(), concurrency=3)
    next(outcomes)
    assert wire_server.most_at_once == 3
    assert read <= 6
    for number in range(20):
        next(outcomes)
        assert read <= number + 2 + 6
    outcomes.close()
    assert wire_server.most_at_once == 3


def test_leaving_the_loop_ends_what_runs(colorizer, wire_server, tmp_path):
    wire_server.released.clear()
    os.mkfifo(slow := tmp_path / "slow.jpg")

    def give_up_the_first_when_the_second_is_asked_for() -> None:
        wire_server.wait_until_held(1)
        slow.open("wb").close()

    threading.Thread(target=give_up_the_first_when_the_second_is_asked_for).start()
    outcomes = colorizer.colorize_many([slow, *[GRAY] * 50], concurrency=2)
    assert next(outcomes).error
    outcomes.close()
    assert wire_server.at_once > 0, "it has not waited for the answers, which are still held back"


def test_a_wrong_concurrency_is_said_at_once(colorizer):
    with pytest.raises(ValueError, match="concurrency"):
        colorizer.colorize_many([], concurrency=0)


@pytest.mark.parametrize("waiting_for", ["an answer", "a pause"])
def test_closing_ends_a_call_of_another_thread(wire_server, waiting_for):
    colorizer = Colorizer(
        wire_server.address, ConnectionOptions(timeout=30, retry=Retry(first_pause=20, longest_pause=20))
    )
    colorizer.describe()
    if waiting_for == "an answer":
        wire_server.released.clear()
    else:
        wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "full")] * 10
    caught = []

    def call():
        try:
            colorizer.colorize(GRAY)
        except ClientClosed as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    if waiting_for == "an answer":
        wire_server.wait_until_held(1)
    else:
        time.sleep(0.3)
    asked = len(wire_server.requests)
    colorizer.close()
    thread.join(20)
    assert not thread.is_alive()
    assert wire_server.at_once == (1 if waiting_for == "an answer" else 0), "the answer is still held back"
    assert len(wire_server.requests) == asked
    assert "was closed while it asked" in str(caught[0])
    wire_server.released.set()
    wire_server.failures.clear()
    assert colorizer.describe().size == 32  # and it opens again
    colorizer.close()
