"""The photographs that all entries of a comparison are measured on, and those of its grid."""

import hashlib
import heapq
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from PIL import Image

from components.evaluator.evaluation import ColorSquare, picture_row
from components.trainer.decoded_photos import example_files
from photo.archives import FileEntry
from photo.decoding import Rgb, decode_photo
from photo.errors import PhotoError
from photo.whole_file import write_whole
from pipeline.comparison.jobs import MeasuringJob

PICTURES_NAME = "pictures"
# Chooses the photographs of the grid, the same for every entry.
_GRID_SEED = 0


def measured_photographs(job: MeasuringJob) -> Iterator[tuple[str, bytes]]:
    """Label and encoded bytes of each photograph that is measured."""
    if job.test_data is not None:
        from serving.batch.file_systems import find_photographs, read_photographs

        entries = (found for found in find_photographs(job.test_data) if isinstance(found, FileEntry))
        for entry, content in read_photographs(entries):
            if not isinstance(content, PhotoError):
                yield Path(entry.name).parent.name, content
        return
    files = example_files(job.measured_examples, "eval")
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        label = features["image/label"].bytes_list.value
        yield label[0].decode() if label else "", features["image/encoded"].bytes_list.value[0]


def write_pictures(job: MeasuringJob, color: ColorSquare, folder: Path) -> list[dict[str, str]]:
    """Write the photographs of the grid gray, coloured and true.

    Args:
        job: says which, and their side.
        color: gives the a*b* for a square in true colours.
        folder: gets a folder PICTURES_NAME.

    Returns:
        the files of each row by `gray`, `colored` and `true`, below `folder`.
    """
    shutil.rmtree(folder / PICTURES_NAME, ignore_errors=True)
    rows = []
    for row, photo in enumerate(_grid_photos(job)):
        files = {name: f"{PICTURES_NAME}/{row}_{name}.png" for name in ("gray", "colored", "true")}
        for name, picture in zip(files, picture_row(color, photo, job.size), strict=True):
            png = io.BytesIO()
            Image.fromarray(picture).save(png, "PNG")
            write_whole(folder / files[name], png.getvalue())
        rows.append(files)
    return rows


def _grid_photos(job: MeasuringJob) -> list[Rgb]:
    """Choose by a hash of the content: the same photographs for every entry, in whatever order they come."""
    draws = (
        (hashlib.sha256(b"%d" % _GRID_SEED + encoded).digest(), encoded) for _, encoded in measured_photographs(job)
    )
    readable = ((draw, rgb) for draw, encoded in draws if (rgb := _decoded(encoded)) is not None)
    return [rgb for _, rgb in heapq.nsmallest(job.rows, readable, key=lambda drawn: drawn[0])]


def _decoded(encoded: bytes) -> Rgb | None:
    try:
        return decode_photo(encoded).rgb
    except PhotoError:
        return None
