"""The client and the project's own server, with a real SavedModel between them."""

import asyncio
import time

import numpy as np
import pytest

from photo.color import rgb_to_lab
from photo.errors import ServerRefused
from serving.client import Colorizer, ModelDescription
from serving.client.async_colorizer import AsyncColorizer
from serving.client.options import ConnectionOptions


@pytest.fixture(scope="module")
def base_path(tmp_path_factory):
    from tests.tiny_models import write_tiny_model

    base = tmp_path_factory.mktemp("models")
    write_tiny_model(base / "1", ab=(20.0, -30.0), size=32)
    return base


@pytest.fixture(scope="module")
def server(base_path):
    from serving.server import EmbeddedServer, ServerOptions

    with EmbeddedServer(ServerOptions("colorizer", base_path, file_system_poll_wait_seconds=0.1)) as server:
        yield server


def test_a_photo_is_coloured_while_the_server_is_still_loading(server, astronaut):
    with Colorizer(f"localhost:{server.port}", ConnectionOptions(timeout=60)) as colorizer:
        assert colorizer.describe() == ModelDescription("tiny", 32, 1, "tiny")
        gray = np.full((70, 90, 3), 150, np.uint8)
        lab = rgb_to_lab(colorizer.colorize(gray))
    lightness = rgb_to_lab(gray)[0, 0, 0]
    expected = (lightness, 0.2 * lightness, -0.3 * lightness)
    np.testing.assert_allclose(lab, np.broadcast_to(np.float32(expected), lab.shape), atol=1)


def test_an_unknown_model_is_refused_at_once(server):
    with (
        Colorizer(f"localhost:{server.port}", ConnectionOptions(model_name="nobody", timeout=60)) as colorizer,
        pytest.raises(ServerRefused, match=r"'nobody' .* NOT_FOUND"),
    ):
        colorizer.describe()


def test_a_new_version_with_another_size_is_noticed(server, base_path):
    from tests.tiny_models import write_tiny_model

    gray = np.full((70, 90, 3), 150, np.uint8)
    with Colorizer(f"localhost:{server.port}", ConnectionOptions(timeout=60)) as colorizer:
        colorizer.colorize(gray)
        write_tiny_model(base_path.parent / "next", ab=(-20.0, 10.0), size=48, fingerprint="next").rename(
            base_path / "2"
        )
        for _ in range(300):
            lab = rgb_to_lab(colorizer.colorize(gray))
            if lab[..., 1].mean() < 0:
                break
            time.sleep(0.1)
        assert lab[..., 1].mean() < -5
        assert colorizer.describe().size == 48


def test_variants_come_from_their_seeds_or_the_model_is_said_to_have_none(server, base_path):
    """The signature `variants` through the real server: rows of their own seeds, the same for a seed."""
    from tests.tiny_models import write_tiny_model

    gray = np.full((70, 90, 3), 150, np.uint8)
    with Colorizer(f"localhost:{server.port}", ConnectionOptions(timeout=60)) as colorizer:
        with pytest.raises(ServerRefused, match="gives one colouring only: it has no signature 'variants'"):
            colorizer.variants(gray, 2)
        write_tiny_model(base_path.parent / "several", variants=True).rename(base_path / "3")
        server.wait_until_available(timeout=60, version=3)
        three = colorizer.variants(gray, 3, seed=1)
        assert len({variant.tobytes() for variant in three}) == 3
        np.testing.assert_array_equal(three[1:], colorizer.variants(gray, 2, seed=2))
        # The tiny model turns its colour by the seed: one of 0 is the one of `serving_default`.
        np.testing.assert_array_equal(colorizer.variants(gray, 1)[0], colorizer.colorize(gray))


def test_requests_spread_over_real_servers_and_a_stopped_one_is_passed_over(server, base_path):
    from serving.server import EmbeddedServer, ServerOptions

    gray = np.full((70, 90, 3), 150, np.uint8)
    with EmbeddedServer(ServerOptions("colorizer", base_path)) as second:
        second.wait_until_available(timeout=60)
        target = f"ipv4:127.0.0.1:{server.port},127.0.0.1:{second.port}"
        with Colorizer(target, ConnectionOptions(timeout=60)) as colorizer:
            outcomes = colorizer.colorize_many([gray] * 40, concurrency=4)
            first = [next(outcomes) for _ in range(10)]
            second.stop(0)
            assert [outcome.error for outcome in (*first, *outcomes)] == [None] * 40


def test_asyncio_colours_the_same(server):
    gray = np.full((70, 90, 3), 150, np.uint8)

    async def color() -> list:
        async with AsyncColorizer(f"localhost:{server.port}", ConnectionOptions(timeout=60)) as colorizer:
            return [outcome.colored async for outcome in colorizer.colorize_many([gray] * 5)]

    with Colorizer(f"localhost:{server.port}", ConnectionOptions(timeout=60)) as colorizer:
        expected = colorizer.colorize(gray)
    np.testing.assert_array_equal(asyncio.run(color()), [expected] * 5)
