import io

import numpy as np
import pytest
from PIL import Image

from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo
from photo.encoding import encode_photo
from photo.errors import ServerRefused
from serving.client import Colorizer
from serving.client.options import ConnectionOptions
from tests.serving.wire_server import WireServer, running

GRAY = np.full((24, 30, 3), 128, np.uint8)


@pytest.fixture
def wire_server():
    with running(WireServer(has_variants=True)) as served:
        yield served


@pytest.fixture
def colorizer(wire_server):
    with Colorizer(wire_server.address, ConnectionOptions(timeout=10)) as colorizer:
        yield colorizer


def test_variants_differ_come_in_one_request_and_are_the_seeds_own(colorizer, wire_server):
    four = colorizer.variants(GRAY, 4, seed=7)
    assert wire_server.requests == ["describe", "variants"]
    assert wire_server.squares == [(4, 32, 32, 1)]
    assert len({variant.tobytes() for variant in four}) == 4
    np.testing.assert_array_equal(four, colorizer.variants(GRAY, 4, seed=7))
    np.testing.assert_array_equal(four[1:], colorizer.variants(GRAY, 3, seed=8))  # row i is of seed + i


def test_variants_are_of_the_photographs_kind(colorizer):
    encoded = encode_photo(GRAY, "WEBP")
    assert [decode_photo(variant).format for variant in colorizer.variants(encoded, 2)] == ["WEBP"] * 2
    (image,) = colorizer.variants(Image.open(io.BytesIO(encoded)), 1)
    assert isinstance(image, Image.Image)
    np.testing.assert_array_equal(colorizer.variants(GRAY, 1, ColoringOptions(strength=0))[0], GRAY)


def test_a_model_of_one_colouring_says_so(colorizer, wire_server):
    wire_server.has_variants = False
    with pytest.raises(ServerRefused, match=r"'colorizer' at .* gives one colouring only: .* Recipes with dropout"):
        colorizer.variants(GRAY, 2)


@pytest.mark.parametrize(
    ("arguments", "words"), [((0,), "variants"), ((65,), "variants"), ((2, -1), "seed"), ((2, 2**31 - 1), "seed")]
)
def test_a_count_or_seed_beyond_its_range_is_named(colorizer, arguments, words):
    with pytest.raises(ValueError, match=words):
        colorizer.variants(GRAY, *arguments[:1], **({"seed": arguments[1]} if arguments[1:] else {}))
