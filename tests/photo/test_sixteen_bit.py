"""16 bits become 8 in several places: everywhere the nearest value is taken, never the one below."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from photo.apply_ab import apply_ab
from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo, photo_from_image
from photo.encoding import encode_photo
from photo.formats import PhotoFormat
from photo.icc_profile import read_profile
from photo.input_kinds import open_photo
from photo.metadata import Metadata
from photo.provenance import Provenance
from photo.sixteen_bit import to_eight_bits
from tests.photo.test_icc_profile import gamma, profile_of, rgb_profile

VALUES = np.arange(1 << 16, dtype=np.uint16)
# All of the 65,536 values, in three orders.
RGB = np.stack([VALUES, VALUES[::-1], np.roll(VALUES, 12_345)], axis=-1).reshape(256, 256, 3)
GRAY = RGB[..., 0]

# Of kinds that littlecms knows, or passes over, and `read_profile` does not: with them 8 bits are taken.
UNKNOWN = {"D2B0": b"mpet" + bytes(60)}
PROFILES = {
    "RGB": rgb_profile(gamma(1.8), **UNKNOWN),
    "GRAY": profile_of("GRAY", {"kTRC": gamma(1.8), **UNKNOWN}),
}


def nearest(deep):
    return np.round(deep / 257).astype(np.uint8)


def saved(image, format, profile):
    file = io.BytesIO()
    image.save(file, format, icc_profile=profile)
    return file.getvalue()


def png_with_alpha(rgba, profile):
    png = cv2.imencode(".png", np.ascontiguousarray(rgba[..., [2, 1, 0, 3]]))[1].tobytes()
    body = b"iCCP" + b"scan\0\0" + zlib.compress(profile)
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


def test_every_value_becomes_the_nearest():
    np.testing.assert_array_equal(to_eight_bits(RGB), nearest(RGB))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_colour_whose_profile_takes_eight_bits(format):
    profile = PROFILES["RGB"]
    assert read_profile(profile) is None
    expected = decode_photo(encode_photo(nearest(RGB), format, metadata=Metadata(icc=profile))).rgb
    np.testing.assert_array_equal(decode_photo(encode_photo(RGB, format, metadata=Metadata(icc=profile))).rgb, expected)


@pytest.mark.parametrize("space", PROFILES)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_whose_profile_takes_eight_bits(format, space):
    profile = PROFILES[space]
    expected = decode_photo(saved(Image.fromarray(nearest(GRAY)), format, profile)).rgb
    deep = Image.fromarray(GRAY)
    np.testing.assert_array_equal(decode_photo(saved(deep, format, profile)).rgb, expected)
    deep.info["icc_profile"] = profile
    np.testing.assert_array_equal(photo_from_image(deep).rgb, expected)


def test_transparent_colour_whose_profile_takes_eight_bits():
    deep = np.concatenate([RGB, np.roll(VALUES, 300).reshape(256, 256, 1)], axis=-1)
    expected = decode_photo(png_with_alpha(nearest(deep), PROFILES["RGB"])).rgb
    np.testing.assert_array_equal(decode_photo(png_with_alpha(deep, PROFILES["RGB"])).rgb, expected)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "BMP"])
def test_files_of_eight_bits(format):
    assert encode_photo(RGB, format) == encode_photo(nearest(RGB), format)


def test_pillow_images_and_arrays():
    _, as_image, _ = open_photo(Image.fromarray(GRAY), ColoringOptions(), max_pixels=1 << 16)
    np.testing.assert_array_equal(np.asarray(as_image(RGB, Provenance())), nearest(RGB))
    pixels, as_array, _ = open_photo(RGB, ColoringOptions(), max_pixels=1 << 16)
    assert pixels is RGB
    assert as_array(RGB, Provenance()) is RGB


def test_a_photograph_joined_with_colour():
    ab = np.full((32, 32, 2), 20, np.float32)
    deep = apply_ab(np.repeat(GRAY[..., None], 3, axis=-1), ab)
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(np.asarray(apply_ab(Image.fromarray(GRAY), ab)), nearest(deep))
    scan = encode_photo(np.repeat(GRAY[..., None], 3, axis=-1), "TIFF")
    options = ColoringOptions(format=PhotoFormat.JPEG, mark_metadata=False)
    assert apply_ab(scan, ab, options) == encode_photo(nearest(deep), "JPEG")
