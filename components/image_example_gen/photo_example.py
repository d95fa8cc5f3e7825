"""One photograph becomes one tf.train.Example, or is left out with a reason."""

import logging
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.image_example_gen.config import DataConfig, Splits
from photo.color import colorfulness, rgb_to_lightness
from photo.decoding import Photo, decode_photo
from photo.errors import PhotoError
from photo.formats import PhotoFormat
from photo.pages import more_pages
from photo.sixteen_bit import to_eight_bits

JPEG_QUALITY = 95


def split_of(sha256: str, splits: Splits) -> str:
    """Return the split, "train", "eval" or "test", that content with this SHA-256 (hexadecimal) belongs to."""
    shares = {"train": splits.train, "eval": splits.eval, "test": splits.test}
    bucket = int(sha256, 16) % sum(shares.values())
    for name, share in shares.items():
        if bucket < share:
            return name
        bucket -= share
    raise AssertionError("unreachable: the bucket is below the sum of the shares")


def photo_example(data: bytes, name: str, sha256: str, config: DataConfig) -> tf.train.Example:
    """Return the Example of one photograph, with the features of the data contract.

    Colorfulness (Hasler and Suesstrunk's M3) and mean luminance (the mean CIE lightness L*, 0..100) are those of the
    stored, possibly reduced, picture.

    Args:
        data: the file's bytes.
        name: its path below the data's root, with forward slashes; the last folder is the label, "" when there is none.
        sha256: of `data`, hexadecimal.
        config: sizes and thresholds.

    Raises:
        PhotoError: with reason `empty`, `not_an_image`, `truncated`, `unreadable`, `too_many_pixels`, `too_small` or
            `gray`.
    """
    photo = decode_photo(data, max_pixels=config.max_pixels)
    for note in (*photo.notes, *([f"{more_pages(photo.pages - 1)} left out"] if photo.pages > 1 else [])):
        logging.info("%s: %s", name, note)
    original_height, original_width = photo.rgb.shape[:2]
    rgb = _reduce(photo.rgb, config.max_stored_side)
    height, width = rgb.shape[:2]
    if min(height, width) < config.min_side:
        stored = "" if rgb is photo.rgb else f" ({width} x {height} when reduced)"
        raise PhotoError(
            "too_small",
            f"{original_width} x {original_height} pixels{stored}; the shorter side must be at least {config.min_side}",
        )
    if rgb.dtype == np.uint16:
        rgb = to_eight_bits(rgb)
    colorful = colorfulness(rgb)
    if colorful < config.min_colorfulness:
        raise PhotoError("gray", f"colorfulness {colorful:.2f}; at least {config.min_colorfulness:g} is needed")

    reduced = (height, width) != (original_height, original_width)
    if not reduced and _is_plain(data, photo):
        encoded, stored_format = data, photo.format
    else:
        lossless = not reduced and photo.format in ("PNG", "BMP", "TIFF")
        encoded, stored_format = _encode(rgb, lossless), PhotoFormat.PNG if lossless else PhotoFormat.JPEG
    folders = name.split("/")[:-1]
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "image/encoded": _bytes(encoded),
                "image/format": _bytes(stored_format.encode()),
                "image/height": _integer(height),
                "image/width": _integer(width),
                "image/filename": _bytes(name.encode()),
                "image/sha256": _bytes(sha256.encode()),
                "image/label": _bytes(folders[-1].encode() if folders else b""),
                "image/colorfulness": _number(colorful),
                "image/mean_luminance": _number(float(np.clip(rgb_to_lightness(rgb).mean(), 0.0, 100.0))),
            }
        )
    )


def _reduce(rgb: NDArray[Any], max_side: int) -> NDArray[Any]:
    height, width = rgb.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _is_plain(data: bytes, photo: Photo) -> bool:
    """Return whether every reader sees in these bytes what `decode_photo` saw."""
    if photo.format not in ("JPEG", "PNG") or not photo.is_as_stored:
        return False
    try:
        # The Trainer reads with TensorFlow, whose decoders refuse some files that Pillow takes.
        return bool(tf.io.decode_image(data, channels=3, expand_animations=False).shape == photo.rgb.shape)
    except Exception as error:  # any doubt means that the photograph is encoded anew
        logging.info("a %s is encoded anew: %s", photo.format, error)
        return False


def _encode(rgb: NDArray[np.uint8], lossless: bool) -> bytes:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if lossless:
        done, buffer = cv2.imencode(".png", bgr)
    else:
        # Chroma at full resolution: it is what the network learns.
        full_chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        done, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *full_chroma])
    if not done:
        raise PhotoError("unreadable", f"{rgb.shape[1]} x {rgb.shape[0]} pixels cannot be encoded")
    return buffer.tobytes()


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integer(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _number(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
