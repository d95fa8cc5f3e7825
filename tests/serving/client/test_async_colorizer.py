import asyncio
import time

import grpc
import numpy as np
import pytest

from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo
from photo.encoding import encode_photo
from photo.errors import ClientClosed, PhotoError, ServerUnavailable, TintypeError
from photo.formats import PhotoFormat
from serving.client import AsyncColorizer, Colorizer, ConnectionOptions, Retry
from tests.serving.wire_server import WireServer, running

GRAY = np.full((24, 30, 3), 128, np.uint8)


def run(scenario, served, **settings):
    """Run `scenario(colorizer)` with a client of the server in an event loop of its own."""

    async def main():
        async with AsyncColorizer(served.address, ConnectionOptions(**{"timeout": 10} | settings)) as colorizer:
            return await asyncio.wait_for(scenario(colorizer), 20)

    return asyncio.run(main())


def test_it_gives_what_the_blocking_client_gives(wire_server, tmp_path):
    wire_server.has_variants = True
    source = tmp_path / "gray.png"
    source.write_bytes(encode_photo(GRAY, "PNG"))

    async def scenario(colorizer):
        await colorizer.colorize_file(source, tmp_path / "async.png")
        return (
            await colorizer.colorize(GRAY),
            await colorizer.colorize(source, ColoringOptions(format=PhotoFormat.WEBP, mark_metadata=False)),
            await colorizer.variants(GRAY, 3, seed=5),
            await colorizer.predict_ab(np.full((1, 16, 16, 1), 50, np.float32)),
            await colorizer.describe(),
        )

    array, encoded, variants, ab, description = run(scenario, wire_server)
    with Colorizer(wire_server.address) as blocking:
        np.testing.assert_array_equal(array, blocking.colorize(GRAY))
        assert encoded == blocking.colorize(source, ColoringOptions(format=PhotoFormat.WEBP, mark_metadata=False))
        np.testing.assert_array_equal(variants, blocking.variants(GRAY, 3, seed=5))
        np.testing.assert_array_equal(ab, blocking.predict_ab(np.full((1, 16, 16, 1), 50, np.float32)))
        assert description == blocking.describe()
        blocking.colorize_file(source, tmp_path / "blocking.png")
    written = [decode_photo((tmp_path / name).read_bytes()).rgb for name in ("async.png", "blocking.png")]
    np.testing.assert_array_equal(*written)


def test_in_a_second_event_loop_it_connects_anew_but_never_in_two_at_once(wire_server):
    colorizer = AsyncColorizer(wire_server.address)
    first, second = (asyncio.run(colorizer.colorize(GRAY)) for _ in range(2))
    np.testing.assert_array_equal(first, second)

    async def ask_from_another_loop():
        await colorizer.describe()
        with pytest.raises(TintypeError, match="connected in another event loop, which still runs"):
            await asyncio.to_thread(asyncio.run, colorizer.describe())
        await colorizer.close()

    asyncio.run(ask_from_another_loop())


def test_many_are_bounded_in_order_and_carry_their_errors(wire_server, tmp_path):
    read = 0

    async def photos():
        nonlocal read
        for number in range(30):
            read += 1
            yield tmp_path / "missing.jpg" if number == 4 else np.full((8 + number, 9, 3), 90, np.uint8)

    async def scenario(colorizer):
        outcomes = []
        async for outcome in colorizer.colorize_many(photos(), concurrency=3):
            outcomes.append(outcome)
            assert read <= len(outcomes) + 6
        return outcomes

    outcomes = run(scenario, wire_server)
    assert isinstance(outcomes.pop(4).error, PhotoError)
    assert [outcome.colored.shape[0] for outcome in outcomes] == [8 + number for number in range(30) if number != 4]
    assert wire_server.most_at_once <= 3


def test_leaving_the_loop_ends_what_runs(wire_server, tmp_path):
    wire_server.released.clear()

    async def scenario(colorizer):
        outcomes = colorizer.colorize_many([tmp_path / "missing.jpg", *[GRAY] * 20], concurrency=2)
        assert (await anext(outcomes)).error
        await asyncio.to_thread(wire_server.wait_until_held, 1)
        await outcomes.aclose()
        return wire_server.at_once

    assert run(scenario, wire_server) > 0, "it has not waited for the answers, which are still held back"


@pytest.mark.parametrize("waiting_for", ["an answer", "a pause"])
@pytest.mark.parametrize("how", ["cancel", "close"])
def test_cancelling_or_closing_ends_a_call_promptly(wire_server, waiting_for, how):
    async def scenario(colorizer):
        await colorizer.describe()
        if waiting_for == "an answer":
            wire_server.released.clear()
        else:
            wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "full")] * 10
        task = asyncio.create_task(colorizer.colorize(GRAY))
        if waiting_for == "an answer":
            await asyncio.to_thread(wire_server.wait_until_held, 1)
        else:
            await asyncio.sleep(0.3)
        asked = len(wire_server.requests)
        if how == "cancel":
            task.cancel()
        else:
            await colorizer.close()
        with pytest.raises(asyncio.CancelledError if how == "cancel" else ClientClosed):
            await task
        return wire_server.at_once, len(wire_server.requests) - asked

    held, asked_again = run(scenario, wire_server, retry=Retry(first_pause=20, longest_pause=20), timeout=60)
    assert held == (1 if waiting_for == "an answer" else 0), "the answer is still held back"
    assert asked_again == 0


def test_unavailable_is_tried_again_and_nobody_at_home_is_said(wire_server, free_port):
    wire_server.failures = [(grpc.StatusCode.UNAVAILABLE, "queue is full")] * 2
    wire_server.status = [(1, 20)]

    async def describe(colorizer):
        return (await colorizer.describe()).size

    assert run(describe, wire_server) == 32
    wire_server.failures = [(grpc.StatusCode.NOT_FOUND, "no version yet")]
    assert run(describe, wire_server) == 32
    nobody = WireServer(address=f"localhost:{free_port}")
    with pytest.raises(ServerUnavailable, match=r"did not answer within 0\.3 s"):
        run(describe, nobody, timeout=0.3)


def test_the_event_loop_stays_free(wire_server):
    big = np.full((1500, 2000, 3), 99, np.uint8)

    async def scenario(colorizer):
        await colorizer.describe()
        turns, task = [time.monotonic()], asyncio.create_task(colorizer.colorize(big))
        while not task.done():
            await asyncio.sleep(0.001)
            turns.append(time.monotonic())
        return np.diff(turns)

    between_turns = run(scenario, wire_server)
    assert between_turns.max() < between_turns.sum() / 3


def test_requests_go_to_several_servers_in_turn():
    one, two = WireServer(), WireServer()
    with running(one), running(two):
        one.address = "ipv4:" + ",".join(s.address.replace("localhost", "127.0.0.1") for s in (one, two))

        async def scenario(colorizer):
            for _ in range(500):
                await colorizer.describe()

        run(scenario, one)
    assert min(len(one.requests), len(two.requests)) > 100
