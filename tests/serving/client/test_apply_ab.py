import numpy as np
import pytest

from photo.apply_ab import apply_ab
from photo.coloring_options import ColoringOptions
from photo.decoding import PhotoHeader, decode_photo, read_header
from photo.encoding import encode_photo
from photo.errors import PhotoError
from photo.formats import PhotoFormat
from serving.client import Colorizer


def test_colour_found_once_gives_what_the_server_would_for_every_strength(wire_server, astronaut):
    photo = encode_photo(astronaut, "PNG")
    with Colorizer(wire_server.address) as colorizer:
        [ab] = colorizer.find_ab(photo)
        asked = len(wire_server.squares)
        for strength in (0.0, 0.7, 1.5):
            colored = apply_ab(photo, ab, ColoringOptions(strength=strength, mark_metadata=False))
            assert colored == colorizer.colorize(photo, ColoringOptions(strength=strength, mark_metadata=False))
        assert len(wire_server.squares) == asked + 3  # those of colorize
        wire_server.has_variants = True
        assert colorizer.find_ab(photo, 3, seed=2).shape == (3, 32, 32, 2)
        options = ColoringOptions(format=PhotoFormat.WEBP, quality=80, mark_metadata=False)
        several = colorizer.variants(photo, 3, options, seed=2)
        several_ab = colorizer.find_ab(photo, 3, seed=2)
        assert several == [apply_ab(photo, ab, options) for ab in several_ab]


def test_a_reduced_picture_keeps_its_shape(wire_server, astronaut):
    with Colorizer(wire_server.address) as colorizer:
        [ab] = colorizer.find_ab(astronaut)
    assert apply_ab(astronaut, ab, longest_side=70).shape == (50, 70, 3)
    np.testing.assert_array_equal(apply_ab(astronaut, ab, longest_side=999), apply_ab(astronaut, ab))


def test_the_header_tells_format_and_size_and_nothing_is_decoded(astronaut):
    photo = encode_photo(astronaut, "JPEG")
    assert read_header(photo[:1000]) == PhotoHeader(PhotoFormat.JPEG, 280, 200, 1, 56_000)
    with pytest.raises(PhotoError, match="56,000 pixels; at most 55,999"):
        read_header(photo, max_pixels=55_999)
    with pytest.raises(PhotoError) as caught:
        read_header(photo[:30])
    assert caught.value.reason == "truncated"
    assert decode_photo(photo).rgb.shape == (200, 280, 3)
