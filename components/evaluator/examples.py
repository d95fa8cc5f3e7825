"""Reads photographs back from the examples that ImageExampleGen wrote."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.types import artifact_utils

from photo.decoding import Rgb, decode_photo
from photo.errors import PhotoError, TintypeError


class Photograph(NamedTuple):
    """One example: where it belongs, its content's hash, its bytes as stored, and its pixels, sRGB [H, W, 3]."""

    label: str
    sha256: str
    encoded: bytes
    rgb: Rgb


def photographs(serialized: bytes) -> Iterator[Photograph]:
    """Decode one serialised tf.train.Example; one whose photograph cannot be read is logged and yields nothing."""
    features = tf.train.Example.FromString(serialized).features.feature

    def value(name: str) -> bytes:
        values = features[name].bytes_list.value
        return values[0] if values else b""

    encoded = value("image/encoded")
    try:
        rgb = decode_photo(encoded).rgb
    except PhotoError as error:
        logging.warning("The example %s is left out: %s", value("image/filename").decode(errors="replace"), error)
        return
    yield Photograph(value("image/label").decode(), value("image/sha256").decode(), encoded, rgb)


def record_files(examples: Sequence[types.Artifact], split: str) -> list[str]:
    """Return the record files of one split, in the order of their names.

    Raises:
        TintypeError: the artifacts have no such split, or it has no files.
    """
    try:
        folders = artifact_utils.get_split_uris(list(examples), split)
    except ValueError as error:
        raise TintypeError(f"no examples of the split {split!r}: {error}") from error
    files = sorted(f"{folder}/{name}" for folder in folders for name in _names_in(folder))
    if not files:
        raise TintypeError(f"no examples of the split {split!r}: no file under {', '.join(folders)}")
    return files


def records(file: str) -> Iterator[bytes]:
    """Yield the serialised Examples of a record file."""
    dataset = tf.data.TFRecordDataset(file, compression_type="GZIP" if file.endswith(".gz") else "")
    yield from dataset.as_numpy_iterator()


def _names_in(folder: str) -> list[str]:
    return list(tf.io.gfile.listdir(folder)) if tf.io.gfile.isdir(folder) else []


def first_photographs(examples: Sequence[types.Artifact], split: str, count: int) -> list[Photograph]:
    """Return the first `count` readable photographs of a split, fewer if there are fewer.

    Raises:
        TintypeError: the split has no files, or no readable photograph in them.
    """
    found = (record for file in record_files(examples, split) for record in records(file))
    first = list(itertools.islice((photo for record in found for photo in photographs(record)), count))
    if not first:
        raise TintypeError(f"no photograph in the split {split!r}")
    return first
