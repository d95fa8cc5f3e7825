"""The client and the project's own server, with a real SavedModel between them."""

import time

import numpy as np
import pytest

from serving.client.color import rgb_to_lab
from serving.client.colorizer import Colorizer, ModelDescription
from serving.client.errors import ServerRefused


@pytest.fixture(scope="module")
def base_path(tmp_path_factory):
    from tests.tiny_models import write_tiny_model

    base = tmp_path_factory.mktemp("models")
    write_tiny_model(base / "1", ab=(20.0, -30.0), size=32)
    return base


@pytest.fixture(scope="module")
def server(base_path):
    from serving.server import EmbeddedServer

    with EmbeddedServer("colorizer", base_path, file_system_poll_wait_seconds=0.1) as server:
        yield server


def test_a_photo_is_coloured_while_the_server_is_still_loading(server, astronaut):
    with Colorizer(f"localhost:{server.port}", timeout=60) as colorizer:
        assert colorizer.describe() == ModelDescription("tiny", 32, 1, "tiny")
        gray = np.full((70, 90, 3), 150, np.uint8)
        lab = rgb_to_lab(colorizer.colorize(gray))
    lightness = rgb_to_lab(gray)[0, 0, 0]
    expected = (lightness, 0.2 * lightness, -0.3 * lightness)
    np.testing.assert_allclose(lab, np.broadcast_to(np.float32(expected), lab.shape), atol=1)


def test_an_unknown_model_is_refused_at_once(server):
    with (
        Colorizer(f"localhost:{server.port}", model_name="nobody", timeout=60) as colorizer,
        pytest.raises(ServerRefused, match=r"'nobody' .* NOT_FOUND"),
    ):
        colorizer.describe()


def test_a_new_version_with_another_size_is_noticed(server, base_path):
    from tests.tiny_models import write_tiny_model

    gray = np.full((70, 90, 3), 150, np.uint8)
    with Colorizer(f"localhost:{server.port}", timeout=60) as colorizer:
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
        assert colorizer._described[1].size == 48
