"""Fits a photograph of any shape into the square a model was trained at, and says where in it the photograph lies."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""(top, left, height, width) of the content, in pixels of the square."""


def resize(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Resize [H, W] or [H, W, C]: area averaging where the image shrinks, linear interpolation where it grows.

    Returns an array of the same dtype, rank and channels.
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized.reshape(height, width, *image.shape[2:])  # OpenCV drops an axis of one channel


def fit_square(image: NDArray[Any], size: int) -> tuple[NDArray[Any], Box]:
    """Resize keeping the aspect ratio so that the longer side is `size`, and pad to a square by repeating the edge.

    Repeated edges, unlike black bars, give the network nothing that a photograph would not show.

    Args:
        image: [H, W] or [H, W, C], uint8, uint16 or float32.
        size: side of the square in pixels.

    Returns:
        The square, [size, size] or [size, size, C] of the same dtype, and the box of the content in it, centred.
    """
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"expected an image of shape [H, W] or [H, W, C], received {image.shape}")
    if size < 1:
        raise ValueError(f"expected a side of at least 1 pixel, received {size}")
    box = top, left, height, width = content_box(image.shape[0], image.shape[1], size)
    padding = [(top, size - height - top), (left, size - width - left), (0, 0)][: image.ndim]
    return np.pad(resize(image, height, width), padding, mode="edge"), box


def content_box(height: int, width: int, size: int) -> Box:
    """Return where `fit_square` puts an image of these sides in a square of `size`."""
    scale = size / max(height, width)
    inner_height, inner_width = (min(size, max(1, round(side * scale))) for side in (height, width))
    return (size - inner_height) // 2, (size - inner_width) // 2, inner_height, inner_width


def centered_square(image: NDArray[Any]) -> NDArray[Any]:
    """Return the largest centred square of an image: a view [S, S, ...]."""
    height, width = image.shape[:2]
    side = min(height, width)
    return crop(image, ((height - side) // 2, (width - side) // 2, side, side))


def crop(square: NDArray[Any], box: Box) -> NDArray[Any]:
    """Return the content of a square that `fit_square` made: a view [height, width, ...]."""
    top, left, height, width = box
    return square[top : top + height, left : left + width]
