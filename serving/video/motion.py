"""Motion between two frames at the network's size, how far it can be trusted, and moving colours along it."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

# The forward and backward flows of a place that stays visible cancel: the test of Sundaram, Brox and Keutzer,
# "Dense point trajectories by GPU-accelerated large displacement optical flow" (2010), which Lai et al. (2018) use.
_SHARE_OF_LENGTH, _SLACK = 0.01, 0.5

# Of normalised lightness: what moved may differ by this much, in standard deviations of the frame.
_NEAR = 0.5


@dataclass(frozen=True)
class Motion:
    """Where the places of this frame were in another one.

    Attributes:
        flow: x and y in pixels to add to a place of this frame, float32 [H, W, 2].
        trust: 0..1, float32 [H, W]; 0 where the place is hidden in the other frame.
    """

    flow: Float32
    trust: Float32


def motions(this: Float32, other: Float32) -> tuple[Motion, Motion]:
    """Return the motion from this frame to the other, and the one back.

    Args:
        this: L*, float32 [H, W].
        other: L* of the frame beside it, of the same shape. Another exposure does not matter.
    """
    one, two = _normalised(this), _normalised(other)
    there = _estimator().calc(_as_bytes(one), _as_bytes(two), None)
    back = _estimator().calc(_as_bytes(two), _as_bytes(one), None)
    return Motion(there, _trust(there, back, one, two)), Motion(back, _trust(back, there, two, one))


def move(values: NDArray[Any], flow: Float32) -> Float32:
    """Fetch values of the other frame, float32 [H, W] or [H, W, C], to where they are in this one."""
    rows, columns = np.indices(flow.shape[:2], np.float32)
    moved = cv2.remap(
        values, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float32)


@cache
def _estimator() -> Any:
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]


def _normalised(lightness: Float32) -> Float32:
    spread = max(float(lightness.std()), 1.0)
    return np.asarray((lightness - lightness.mean()) / spread, np.float32)


def _as_bytes(normalised: Float32) -> NDArray[np.uint8]:
    return np.clip(normalised * 50 + 128, 0, 255).astype(np.uint8)


def _trust(flow: Float32, back: Float32, this: Float32, other: Float32) -> Float32:
    returned = move(back, flow)
    gap = np.square(flow + returned).sum(-1)
    length = np.square(flow).sum(-1) + np.square(returned).sum(-1)
    is_seen = gap < _SHARE_OF_LENGTH * length + _SLACK
    alike = np.exp(-np.square((this - move(other, flow)) / _NEAR))
    return np.asarray(np.where(is_seen, alike, 0), np.float32)
