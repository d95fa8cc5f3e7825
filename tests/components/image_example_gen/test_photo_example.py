import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from components.image_example_gen.config import DataConfig, Splits
from components.image_example_gen.photo_example import photo_example, split_of
from photo.decoding import decode_photo
from photo.errors import PhotoError
from tests.components.image_example_gen.photographs import encoded, picture

CONFIG = DataConfig(max_stored_side=128)


def features(data: bytes, name: str = "a/b/photo.jpg", config: DataConfig = CONFIG) -> dict:
    example = photo_example(data, name, "ab" * 32, config)
    return {
        key: getattr(feature, feature.WhichOneof("kind")).value[0] for key, feature in example.features.feature.items()
    }


def stored(data: bytes) -> np.ndarray:
    return tf.io.decode_image(features(data)["image/encoded"], channels=3, expand_animations=False).numpy()


def mean_difference(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left.astype(float) - right).mean())


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_plain_photograph_is_stored_as_found(form):
    data = encoded(picture(1), form)
    found = features(data)
    assert found["image/encoded"] == data
    assert found["image/format"] == form.encode()
    assert (found["image/height"], found["image/width"]) == (48, 64)
    assert found["image/filename"] == b"a/b/photo.jpg"
    assert found["image/label"] == b"b"
    assert found["image/sha256"] == b"ab" * 32
    assert 4 < found["image/colorfulness"] < 210
    assert 0 < found["image/mean_luminance"] < 100


def test_a_photograph_at_the_root_has_no_label():
    assert features(encoded(picture(1)), "photo.jpg")["image/label"] == b""


@pytest.mark.parametrize(("form", "kept"), [("WEBP", b"JPEG"), ("TIFF", b"PNG"), ("BMP", b"PNG")])
def test_formats_that_the_trainer_cannot_read_are_encoded_anew(form, kept):
    data = encoded(picture(2), form)
    assert features(data)["image/format"] == kept
    with Image.open(io.BytesIO(data)) as image:
        assert mean_difference(stored(data), np.array(image.convert("RGB"))) < 4


def test_separate_planes_of_sixteen_bits_are_learned_from_as_they_are():
    planes = np.ascontiguousarray(np.moveaxis(picture(4).astype(np.uint16) * 257, -1, 0))
    file = io.BytesIO()
    tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate", tile=(16, 16), metadata=None)
    np.testing.assert_array_equal(stored(file.getvalue()), picture(4))


def test_what_another_reader_would_not_convert_is_encoded_anew():
    plain = encoded(picture(5), "PNG")
    linear = struct.pack(">I", 4) + b"gAMA" + struct.pack(">I", 100_000)
    linear += struct.pack(">I", zlib.crc32(linear[4:]))
    data = plain[:33] + linear + plain[33:]
    assert features(data)["image/encoded"] != data
    np.testing.assert_array_equal(stored(data), decode_photo(data).rgb)
    assert stored(data).mean() > picture(5).mean() + 20


@pytest.mark.parametrize(("orientation", "turns"), [(6, -1), (3, 2)])
def test_a_turned_photograph_is_stored_upright(orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(3), "PNG", exif=exif)
    assert np.array_equal(stored(data), np.rot90(picture(3), turns))


def test_alpha_palette_and_16_bits_become_plain_rgb():
    half = encoded(np.dstack([picture(4), np.full((48, 64), 128, np.uint8)]), "PNG")
    assert mean_difference(stored(half), picture(4) / 2 + 127.5) < 1
    palette = Image.fromarray(picture(4)).quantize(16)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG")
    assert np.array_equal(stored(buffer.getvalue()), np.array(palette.convert("RGB")))
    deep = tf.io.encode_png(tf.cast(picture(4), tf.uint16) * 257).numpy()
    assert np.array_equal(stored(deep), picture(4))


def test_sixteen_bits_are_stored_as_the_nearest_eight():
    away = np.random.default_rng(0).integers(-128, 129, picture(4).shape)
    deep = np.clip(picture(4).astype(int) * 257 + away, 0, 65535).astype(np.uint16)
    assert np.array_equal(stored(tf.io.encode_png(deep).numpy()), picture(4))


def test_cmyk_is_stored_as_rgb():
    cmyk = Image.fromarray(picture(5)).convert("CMYK")
    buffer = io.BytesIO()
    cmyk.save(buffer, "JPEG", quality=95)
    found = features(buffer.getvalue())
    with Image.open(io.BytesIO(found["image/encoded"])) as image:
        assert image.mode == "RGB"
        assert mean_difference(np.array(image), picture(5)) < 8


def test_a_large_photograph_is_reduced_with_its_chroma_at_full_resolution():
    found = features(encoded(picture(6, 300, 400), "PNG"))
    assert (found["image/height"], found["image/width"], found["image/format"]) == (96, 128, b"JPEG")
    with Image.open(io.BytesIO(found["image/encoded"])) as image:
        assert image.size == (128, 96)
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (encoded(picture(7, 31, 64)), "too_small", "64 x 31 pixels.*at least 32"),
        (encoded(picture(7, 100, 1000)), "too_small", "128 x 13 when reduced"),
        (encoded(np.full((48, 64, 3), 77, np.uint8)), "gray", "colorfulness 0.00; at least 4"),
        (encoded(picture(7))[:500], "truncated", "breaks off"),
        (b"8BPS\0\1", "not_an_image", "begins with"),
        (encoded(picture(7, 300, 400)), "too_many_pixels", "120,000"),
    ],
)
def test_an_unfit_photograph_is_left_out_with_its_reason(data, reason, words):
    with pytest.raises(PhotoError, match=words) as left_out:
        features(data, config=DataConfig(max_stored_side=128, max_pixels=110_000))
    assert left_out.value.reason == reason


def test_splits_follow_the_shares_and_only_the_hash():
    splits = Splits(train=8, eval=1, test=1)
    hashes = [hashlib.sha256(bytes([index // 256, index % 256])).hexdigest() for index in range(2000)]
    found = [split_of(sha256, splits) for sha256 in hashes]
    assert found == [split_of(sha256, splits) for sha256 in hashes]
    assert abs(found.count("train") / 2000 - 0.8) < 0.05
    assert abs(found.count("eval") / 2000 - 0.1) < 0.05
    assert abs(found.count("test") / 2000 - 0.1) < 0.05
