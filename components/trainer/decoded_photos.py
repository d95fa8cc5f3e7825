"""Photographs decoded once into squares of one size, in memory or, where they do not fit, in a file on disk."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from photo.errors import TintypeError
from photo.whole_file import whole_file

_BATCH = 64
_BLOCK = 1 << 22
_FILES_AT_ONCE = 4


def example_files(examples_uri: str, split: str) -> list[str]:
    """The record files of one split of an Examples artifact, in a fixed order.

    Raises:
        TintypeError: the split has no files.
    """
    folder = os.path.join(examples_uri, f"Split-{split}")
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []  # no pattern: "[" is a letter of a path
    files = sorted(os.path.join(folder, name) for name in names if name.endswith(".gz"))
    if not files:
        raise TintypeError(f"no examples of the split {split} under {examples_uri}")
    return files


def content_digest(files: Sequence[str]) -> str:
    """16 hex digits that follow from the bytes of the files, in their order, and not from where they lie.

    The same photographs ingested again, into another artifact, are the same; ImageExampleGen writes them alike.

    Raises:
        TintypeError: a file is gone or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for name in files:
            with tf.io.gfile.GFile(name, "rb") as file:
                digest.update(f"{file.size()} ".encode())
                while block := file.read(_BLOCK):
                    digest.update(block)
    except tf.errors.OpError as error:
        raise TintypeError(f"the examples cannot be read: {error.message}") from None
    return digest.hexdigest()[:16]


def count_examples(files: Sequence[str]) -> int:
    """How many photographs the files hold.

    Raises:
        TintypeError: a file is gone or damaged.
    """
    try:
        return sum(1 for _ in tf.data.TFRecordDataset(list(files), compression_type="GZIP"))
    except tf.errors.OpError as error:
        raise TintypeError(f"the examples cannot be read: {error.message}") from None


def decode_square(record: tf.Tensor, side: int) -> tf.Tensor:
    """A serialised Example -> the photo's largest centred square (see `photo.geometry`), uint8 [side, side, 3]."""
    encoded = tf.io.parse_single_example(record, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
    photo = tf.io.decode_image(encoded["image/encoded"], channels=3, expand_animations=False)
    photo.set_shape([None, None, 3])
    height, width = tf.unstack(tf.shape(photo)[:2])
    shorter = tf.minimum(height, width)
    square = tf.image.crop_to_bounding_box(photo, (height - shorter) // 2, (width - shorter) // 2, shorter, shorter)
    resized = tf.image.resize(square, [side, side], antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def first_squares(files: Sequence[str], *, size: int, count: int) -> tf.Tensor:
    """The first `count` photographs, not augmented: uint8 [at most count, size, size, 3]."""
    photos = tf.data.TFRecordDataset(list(files), compression_type="GZIP").take(count)
    return tf.stack(list(photos.map(lambda record: decode_square(record, size))))


def decode_photos(
    files: Sequence[str], *, side: int, memory_share: float, disk_folder: str, fingerprint: str
) -> NDArray[np.uint8]:
    """Decode all photographs, in the order of the files.

    Args:
        files: gzipped TFRecords of Examples.
        side: of the squares, in pixels.
        memory_share: the squares stay in memory while they take at most this share of the machine's (of the
            container's, where it is limited).
        disk_folder: where they lie otherwise, as one file that a later run on the same examples uses again.
        fingerprint: of the files, as `content_digest` gives it: part of that file's name.

    Returns:
        uint8 [photos, side, side, 3], mapped from the file when it is on disk.

    Raises:
        TintypeError: an example cannot be read, or the disk has no room.
    """
    count = count_examples(files)
    shape = (count, side, side, 3)
    needed = int(np.prod(shape))
    if needed <= memory_share * memory_bytes():
        return _fill(np.empty(shape, np.uint8), files, side)
    path = Path(disk_folder) / f"decoded_{side}_{fingerprint}.npy"
    if not path.is_file():
        logging.info("%d squares take %.1f GB, more than %g of the memory: %s", count, needed / 1e9, memory_share, path)
        _decode_to_disk(path, shape, files, side)
    photos: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return photos


def memory_bytes() -> int:
    """The machine's memory, or the container's limit where that is lower."""
    limit = Path("/sys/fs/cgroup/memory.max")
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        return min(physical, int(text))
    return physical


def photo_weights(files: Sequence[str], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """How often each photograph is drawn, in the order of `decode_photos`.

    Args:
        files: as there.
        weights: by the name of a folder, or of one of several sources, which stands first in a photograph's path. A
            photograph has the product over the folders of its path; where none is named, 1.

    Returns:
        float64 [photos].

    Raises:
        TintypeError: a name is of no photograph's folder, no photograph is left, or an example cannot be read.
    """
    found, seen = [], set()
    try:
        for record in _records(files).as_numpy_iterator():
            name = tf.train.Example.FromString(record).features.feature["image/filename"].bytes_list.value
            folders = {folder.decode(errors="replace") for folder in (name[0] if name else b"").split(b"/")[:-1]}
            seen |= folders
            found.append(math.prod(weights.get(folder, 1.0) for folder in folders))
    except tf.errors.OpError as error:
        raise TintypeError(f"the examples cannot be read: {error.message}") from None
    if unknown := sorted(set(weights) - seen):
        raise TintypeError(
            f"data.weights names {', '.join(unknown)}, but no photograph lies there; the folders are "
            f"{', '.join(sorted(seen)) or 'none'}"
        )
    if not any(found):
        raise TintypeError("data.weights leaves no photograph to learn from: every weight is 0")
    return np.array(found)


def _records(files: Sequence[str]) -> tf.data.Dataset:
    """The serialised Examples of all files, always in one order."""
    return tf.data.Dataset.from_tensor_slices(list(files)).interleave(
        lambda file: tf.data.TFRecordDataset(file, compression_type="GZIP"),
        cycle_length=_FILES_AT_ONCE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _decode_to_disk(path: Path, shape: tuple[int, ...], files: Sequence[str], side: int) -> None:
    with whole_file(path, unique=False) as part:
        photos = allocate_npy(part, shape, np.dtype(np.uint8))
        _fill(photos, files, side)
        photos.flush()


def allocate_npy(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """A new .npy file as an array that is mapped from it.

    Raises:
        OSError: the disk has no room. Writing to a mapped file then would kill the process: the room is taken before.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _fill(photos: NDArray[np.uint8], files: Sequence[str], side: int) -> NDArray[np.uint8]:
    squares = _records(files).map(lambda record: decode_square(record, side), num_parallel_calls=tf.data.AUTOTUNE)
    batches = squares.batch(_BATCH).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()
    console = Console(stderr=True)
    done = 0
    try:
        for batch in track(
            batches,
            "decoding photographs",
            total=-(-len(photos) // _BATCH),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ):
            photos[done : done + len(batch)] = batch
            done += len(batch)
    except tf.errors.OpError as error:
        raise TintypeError(f"an example cannot be decoded: {error.message}") from None
    return photos
