"""Turns a decoded photograph upright by the EXIF orientation of its JPEG, PNG or WebP file, inside a graph.

TensorFlow's decoders leave EXIF alone, and a graph that is served has nothing but TensorFlow.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# The longest list of tags that is looked through; cameras write some dozens.
_MOST_TAGS = 512

# Segments or chunks of a file that are looked through: a PNG of 64 MB has so many, and its EXIF data may come last.
_MOST_PIECES = 8192

_EXIF_SEGMENT, _SCAN, _END_OF_IMAGE, _ORIENTATION_TAG = 0xE1, 0xDA, 0xD9, 0x0112


class _Pieces(NamedTuple):
    """How a kind of file is put together of segments or chunks, by the first 16 bytes of one, int64 [16].

    Attributes:
        start: where the first one begins.
        is_exif: whether it holds EXIF data.
        is_last: whether none of interest comes after it; zeros, as behind the end of the file, are such.
        length: of the whole of it, in bytes.
        header: where in it the TIFF header of its EXIF data begins.
    """

    start: int
    is_exif: Callable[[tf.Tensor], tf.Tensor]
    is_last: Callable[[tf.Tensor], tf.Tensor]
    length: Callable[[tf.Tensor], tf.Tensor]
    header: Callable[[tf.Tensor], tf.Tensor | int]


def turn_upright(rgb: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Turn and mirror a photograph as its file says.

    Args:
        rgb: [H, W, 3], as it lies in the file.
        encoded: the file, a scalar string; files of other kinds than JPEG, PNG and WebP are taken to be upright.

    Returns:
        [H, W, 3], or [W, H, 3] where it lay on its side.
    """
    orientation = exif_orientation(encoded)
    turned = tf.cond(orientation >= 5, lambda: tf.transpose(rgb, [1, 0, 2]), lambda: rgb)
    mirrored = tf.reduce_any(orientation == tf.constant([2, 3, 6, 7], tf.int64))
    turned = tf.cond(mirrored, lambda: tf.reverse(turned, [1]), lambda: turned)
    upside_down = tf.reduce_any(orientation == tf.constant([3, 4, 7, 8], tf.int64))
    return tf.cond(upside_down, lambda: tf.reverse(turned, [0]), lambda: turned)


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Return the orientation tag of a JPEG, PNG or WebP file, int64 1..8; 1, upright, where none can be read.

    The tag lies in the first directory of a TIFF header (CIPA DC-008, "Exif 2.3", 4.5.2 and 4.6.4), which stands in a
    JPEG's segment APP1, a PNG's chunk eXIf (PNG 1.5.0 extensions, 3.7) or a WebP's chunk EXIF (RFC 9649, 2.7.1.5).
    """
    head = _bytes_at(encoded, tf.constant(0, tf.int64), 12)
    is_png, is_webp = _is_text(head, b"\x89PNG"), _is_text(head, b"RIFF") & _is_text(head[8:], b"WEBP")
    header = tf.cond(
        is_png,
        lambda: _exif_header(encoded, _PNG),
        lambda: tf.cond(is_webp, lambda: _exif_header(encoded, _WEBP), lambda: _exif_header(encoded, _JPEG)),
    )
    tiff = _bytes_at(encoded, header, 8)
    is_little = tiff[0] == ord("I")
    directory = header + tf.where(is_little, _little(tiff[4:8]), _big(tiff[4:8]))
    listed = _bytes_at(encoded, directory, 2 + 12 * _MOST_TAGS)

    def shorts(pairs: tf.Tensor) -> tf.Tensor:
        return tf.where(is_little, pairs[..., 0] + 256 * pairs[..., 1], 256 * pairs[..., 0] + pairs[..., 1])

    entries = tf.reshape(listed[2:], [_MOST_TAGS, 12])[: shorts(listed[:2])]
    values = tf.boolean_mask(shorts(entries[:, 8:10]), shorts(entries[:, :2]) == _ORIENTATION_TAG)
    orientation = tf.reduce_max(tf.concat([tf.constant([0], tf.int64), values[:1]], axis=0))
    is_known = (_is_text(tiff, b"II") | _is_text(tiff, b"MM")) & (orientation >= 1) & (orientation <= 8)
    return tf.where(is_known, orientation, 1)


def _exif_header(encoded: tf.Tensor, pieces: _Pieces) -> tf.Tensor:
    """Return where the TIFF header of a file's EXIF data begins, int64; behind the end of the file without any."""

    def is_other(place: tf.Tensor) -> tf.Tensor:
        piece = _bytes_at(encoded, place, 16)
        return ~pieces.is_exif(piece) & ~pieces.is_last(piece)

    [place] = tf.while_loop(
        is_other,
        lambda place: [place + pieces.length(_bytes_at(encoded, place, 16))],
        [tf.constant(pieces.start, tf.int64)],
        maximum_iterations=_MOST_PIECES,
    )
    piece = _bytes_at(encoded, place, 16)
    return tf.where(pieces.is_exif(piece), place + pieces.header(piece), _length_of(encoded))


def _bytes_at(encoded: tf.Tensor, offset: tf.Tensor, count: int) -> tf.Tensor:
    """Return so many bytes of a file, int64 [count]; zeros behind its end, whatever the file says of its lengths."""
    found = tf.strings.substr(encoded, tf.clip_by_value(offset, 0, _length_of(encoded)), count)
    padded = tf.strings.substr(tf.strings.join([found, "\0" * count]), 0, count)
    return tf.ensure_shape(tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int64), [count])


def _length_of(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(encoded), tf.int64)


def _is_text(found: tf.Tensor, text: bytes) -> tf.Tensor:
    return tf.reduce_all(found[: len(text)] == tf.constant(list(text), tf.int64))


def _big(found: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(found * [256**power for power in reversed(range(found.shape[0]))])


def _little(found: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(found * [256**power for power in range(found.shape[0])])


_JPEG = _Pieces(
    2,
    is_exif=lambda segment: _is_text(segment, bytes([0xFF, _EXIF_SEGMENT])) & _is_text(segment[4:], b"Exif\0\0"),
    is_last=lambda segment: (segment[0] != 0xFF) | (segment[1] == _SCAN) | (segment[1] == _END_OF_IMAGE),
    length=lambda segment: 2 + _big(segment[2:4]),
    header=lambda _: 10,
)
_PNG = _Pieces(
    8,
    is_exif=lambda chunk: _is_text(chunk[4:], b"eXIf"),
    is_last=lambda chunk: _is_text(chunk[4:], b"IEND") | (chunk[4] == 0),
    length=lambda chunk: 12 + _big(chunk[:4]),
    header=lambda _: 8,
)
_WEBP = _Pieces(
    12,
    is_exif=lambda chunk: _is_text(chunk, b"EXIF"),
    is_last=lambda chunk: chunk[0] == 0,
    length=lambda chunk: 8 + 2 * ((_little(chunk[4:8]) + 1) // 2),
    header=lambda chunk: tf.where(_is_text(chunk[8:], b"Exif\0\0"), tf.constant(14, tf.int64), 8),
)
