import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from components.trainer.upright import exif_orientation, turn_upright

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)
BIG_ENDIAN = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def decoded(encoded):
    return turn_upright(tf.io.decode_image(encoded, channels=3, expand_animations=False), encoded)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def orientation_of(encoded):
    return exif_orientation(encoded)


def jpeg(exif: Image.Exif | bytes | None = None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(
        file, "JPEG", quality=95, comment=b"x" * 300, **({} if exif is None else {"exif": exif})
    )
    return file.getvalue()


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "a maker of cameras" * 9
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(10))
def test_a_photograph_is_turned_as_pillow_turns_it(orientation):
    data = jpeg(exif_of(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    found = decoded(data).numpy()
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 3  # two decoders


def test_both_byte_orders_are_read():
    assert orientation_of(jpeg(BIG_ENDIAN)).numpy() == 6
    assert orientation_of(jpeg(exif_of(8))).numpy() == 8


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe1",
        b"\xff\xd8\xff\xe0\x00\x00" * 3,
        b"\xff\xd8\xff\xe1\xff\xffExif\0\0II*\0\xff\xff\xff\xff",
        jpeg(BIG_ENDIAN)[:36],
        jpeg(BIG_ENDIAN.replace(b"\x00\x06\0\0\0\0\0\0", b"\x07\xff\0\0\0\0\0\0")),
        jpeg(),
        Image.new("L", (3, 3)).tobytes(),
    ],
)
def test_what_has_no_orientation_that_can_be_read_is_taken_to_be_upright(data):
    assert orientation_of(data).numpy() == 1
