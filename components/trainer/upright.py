"""Turns a decoded photograph upright by the EXIF orientation of its JPEG file, inside a graph.

TensorFlow's decoders leave EXIF alone, and a graph that is served has nothing but TensorFlow.
"""

import tensorflow as tf

# EXIF stands in the first segments of a file: nothing behind these bytes is looked at.
_HEAD_BYTES = 1 << 18

# The longest list of tags that is looked through; cameras write some dozens.
_MOST_TAGS = 512

_EXIF_SEGMENT, _ORIENTATION_TAG = 0xE1, 0x0112


def turn_upright(rgb: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Turn and mirror a photograph as its file says.

    Args:
        rgb: [H, W, 3], as it lies in the file.
        encoded: the file, a scalar string; other files than JPEG are taken to be upright.

    Returns:
        [H, W, 3], or [W, H, 3] where it lay on its side.
    """
    orientation = exif_orientation(encoded)
    turned = tf.cond(orientation >= 5, lambda: tf.transpose(rgb, [1, 0, 2]), lambda: rgb)
    mirrored = tf.reduce_any(orientation == tf.constant([2, 3, 6, 7]))
    turned = tf.cond(mirrored, lambda: tf.reverse(turned, [1]), lambda: turned)
    upside_down = tf.reduce_any(orientation == tf.constant([3, 4, 7, 8]))
    return tf.cond(upside_down, lambda: tf.reverse(turned, [0]), lambda: turned)


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Return the orientation tag of a JPEG file, int32 1..8; 1, upright, where there is none that can be read.

    The tag lies in the first directory of a TIFF header in the segment APP1 (CIPA DC-008, "Exif 2.3", 4.5.2 and 4.6.4).
    """
    # Zeros behind the end, and every offset kept inside: a file that lies about its lengths reads zeros.
    padded = tf.strings.join([tf.strings.substr(encoded, 0, _HEAD_BYTES), "\0" * 16])
    data = tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int32)
    last = tf.size(data) - 4

    def byte(offset: tf.Tensor) -> tf.Tensor:
        return tf.gather(data, tf.clip_by_value(offset, 0, last))

    def is_other_segment(start: tf.Tensor) -> tf.Tensor:
        is_segment = (start < last) & (byte(start) == 0xFF)
        is_exif = (byte(start + 1) == _EXIF_SEGMENT) & (byte(start + 4) == ord("E")) & (byte(start + 5) == ord("x"))
        is_image = (byte(start + 1) == 0xDA) | (byte(start + 1) == 0xD9)  # scan, or end
        return is_segment & ~is_exif & ~is_image

    [segment] = tf.while_loop(
        is_other_segment, lambda start: [start + 2 + 256 * byte(start + 2) + byte(start + 3)], [tf.constant(2)]
    )
    tiff = segment + 10  # marker, length, "Exif\0\0"
    is_little = byte(tiff) == ord("I")

    def short(offset: tf.Tensor) -> tf.Tensor:
        first, second = byte(offset), byte(offset + 1)
        return tf.where(is_little, first + 256 * second, 256 * first + second)

    is_exif = (byte(segment) == 0xFF) & (byte(segment + 1) == _EXIF_SEGMENT) & (byte(tiff) == byte(tiff + 1))
    # The offset of the directory has four bytes; no segment is so long that the upper two were needed.
    directory = tiff + short(tiff + tf.where(is_little, 4, 6))
    entries = directory + 2 + 12 * tf.range(tf.minimum(short(directory), _MOST_TAGS))
    values = tf.boolean_mask(short(entries + 8), short(entries) == _ORIENTATION_TAG)
    orientation = tf.reduce_max(tf.concat([[0], values[:1]], axis=0))
    is_known = is_exif & (orientation >= 1) & (orientation <= 8)
    return tf.where(is_known, orientation, 1)
