"""Examples artifacts in a test's own folder, as ImageExampleGen writes them, and photos whose colours are known."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from photo.color import join_lightness_and_color


def tinted_photo(seed: int, *, ab=(20.0, -30.0), height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth random lightness in the colour `ab` scaled by L/100, which is what `write_tiny_model` predicts."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(60, 200, (6, 8), dtype=np.uint8))
    lightness = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 2.55
    return join_lightness_and_color(lightness, lightness[..., None] / 100.0 * np.array(ab, np.float32))


def png(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


def write_examples(folder: Path, photos: list[tuple[str, bytes]], *, split: str = "eval", shards: int = 2):
    """Write (label, encoded) photos as one split. Returns the Examples artifact."""
    import tensorflow as tf
    from tfx.types import artifact_utils, standard_artifacts

    def feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    (folder / f"Split-{split}").mkdir(parents=True)
    for shard in range(shards):
        path = folder / f"Split-{split}" / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"
        with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
            for index, (label, encoded) in enumerate(photos[shard::shards]):
                features = {
                    "image/encoded": feature(encoded),
                    "image/filename": feature(f"{label}/{shard}_{index}.png".encode()),
                    "image/label": feature(label.encode()),
                    "image/sha256": feature(hashlib.sha256(encoded).hexdigest().encode()),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    examples.split_names = artifact_utils.encode_split_names([split])
    return examples
