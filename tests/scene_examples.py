"""Rendered scenes as Examples on disk, for tests that train or evaluate without running the pipeline before."""

from pathlib import Path

from tintype.demo.scenes import render_scenes


def write_scene_examples(folder: Path, *, split: str, count: int, first_seed: int, side: int = 64) -> Path:
    """Write `count` scenes into `folder`/Split-<split>/ as gzipped TFRecords. Returns `folder`."""
    import tensorflow as tf

    target = folder / f"Split-{split}"
    target.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(target / "data_tfrecord-00000-of-00001.gz"), "GZIP") as writer:
        for _, scene in render_scenes(count, first_seed, side):
            encoded = tf.io.encode_jpeg(scene, quality=95).numpy()
            feature = {"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))}
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return folder
