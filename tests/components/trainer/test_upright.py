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


def encoded(format: str, exif: Image.Exif) -> bytes:
    if format == "JPEG":
        return jpeg(exif)
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, format, exif=exif, lossless=True)
    return file.getvalue()


def with_exif_at_the_end(png: bytes) -> bytes:
    start = png.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(png[start : start + 4])
    return png[:start] + png[end:-12] + png[start:end] + png[-12:]


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_turned_as_pillow_turns_it(format, orientation):
    data = encoded(format, exif_of(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    found = decoded(data).numpy()
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 3  # two decoders


def test_both_byte_orders_are_read():
    assert orientation_of(jpeg(BIG_ENDIAN)).numpy() == 6
    assert orientation_of(jpeg(exif_of(8))).numpy() == 8


def test_exif_data_may_stand_behind_the_pixels_of_a_png():
    data = encoded("PNG", exif_of(6))
    assert orientation_of(with_exif_at_the_end(data)).numpy() == 6
    Image.open(io.BytesIO(with_exif_at_the_end(data))).load()


def test_exif_data_of_a_webp_may_begin_as_a_jpegs_do():
    data = encoded("WEBP", exif_of(8))
    at = data.index(b"EXIF")
    block = b"Exif\0\0" + data[at + 8 :].removeprefix(b"Exif\0\0")
    assert orientation_of(data[: at + 4] + len(block).to_bytes(4, "little") + block).numpy() == 8


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe1",
        b"\xff\xd8\xff\xe0\x00\x00" * 3,
        b"\xff\xd8\xff\xe1\xff\xffExif\0\0II*\0\xff\xff\xff\xff",
        jpeg(BIG_ENDIAN)[:36],
        b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xfftEXt",
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x08eXIfII*\0\xff\xff\xff\xff",
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXt\0\0\0\0" * 9000,
        b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xffMM",
        jpeg(BIG_ENDIAN.replace(b"\x00\x06\0\0\0\0\0\0", b"\x07\xff\0\0\0\0\0\0")),
        jpeg(),
        Image.new("L", (3, 3)).tobytes(),
    ],
)
def test_what_has_no_orientation_that_can_be_read_is_taken_to_be_upright(data):
    assert orientation_of(data).numpy() == 1
