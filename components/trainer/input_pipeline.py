"""Examples on disk -> batches of uint8 squares, the same in every run with the same seed."""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from components.trainer.config import AugmentationConfig
from serving.client.errors import TintypeError

# Decoded squares are kept in memory while they take less than this share of it.
CACHE_SHARE_OF_MEMORY = 0.25
SHUFFLE_BUFFER = 4096


def example_files(examples_uri: str, split: str) -> list[str]:
    """The record files of one split of an Examples artifact, in a fixed order.

    Raises:
        TintypeError: the split has no files.
    """
    files = sorted(tf.io.gfile.glob(os.path.join(examples_uri, f"Split-{split}", "*.gz")))
    if not files:
        raise TintypeError(f"no examples of the split {split} under {examples_uri}")
    return files


def count_examples(files: Sequence[str]) -> int:
    """How many photographs the files hold."""
    return sum(1 for _ in tf.data.TFRecordDataset(list(files), compression_type="GZIP"))


def decode_square(record: tf.Tensor, side: int) -> tf.Tensor:
    """A serialised Example -> the photo's largest centred square as uint8 [side, side, 3]."""
    encoded = tf.io.parse_single_example(record, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
    photo = tf.io.decode_image(encoded["image/encoded"], channels=3, expand_animations=False)
    photo.set_shape([None, None, 3])
    height, width = tf.unstack(tf.shape(photo)[:2])
    shorter = tf.minimum(height, width)
    square = tf.image.crop_to_bounding_box(photo, (height - shorter) // 2, (width - shorter) // 2, shorter, shorter)
    resized = tf.image.resize(square, [side, side], antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def training_batches(
    files: Sequence[str],
    *,
    photo_count: int,
    size: int,
    batch_size: int,
    augmentation: AugmentationConfig,
    seed: int,
) -> tf.data.Dataset:
    """Endless batches uint8 [batch_size, size, size, 3]: cached, shuffled, cropped and mirrored by the seed.

    `photo_count` is what `count_examples` says of the files; it decides whether they fit in memory.
    """
    side = round(size * augmentation.enlarge)
    photos = tf.data.TFRecordDataset(list(files), compression_type="GZIP")
    photos = photos.map(lambda record: decode_square(record, side), num_parallel_calls=tf.data.AUTOTUNE)
    if photo_count * side * side * 3 < CACHE_SHARE_OF_MEMORY * _memory_bytes():
        photos = photos.cache()
    photos = photos.shuffle(SHUFFLE_BUFFER, seed=seed, reshuffle_each_iteration=True).repeat()

    def augment(index: tf.Tensor, photo: tf.Tensor) -> tf.Tensor:
        draw = tf.stack([tf.constant(seed, tf.int64), index])
        photo = tf.image.stateless_random_crop(photo, [size, size, 3], seed=draw)
        if augmentation.flip:
            photo = tf.image.stateless_random_flip_left_right(photo, seed=draw + 1)
        return photo

    photos = photos.enumerate().map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    return photos.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def first_squares(files: Sequence[str], *, size: int, count: int) -> tf.Tensor:
    """The first `count` photographs, not augmented: uint8 [at most count, size, size, 3]."""
    photos = tf.data.TFRecordDataset(list(files), compression_type="GZIP").take(count)
    return tf.stack(list(photos.map(lambda record: decode_square(record, size))))


def _memory_bytes() -> int:
    limit = Path("/sys/fs/cgroup/memory.max")
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        return min(physical, int(text))
    return physical
