"""From a*b* to the chroma planes of a film: its luma plane stays as it is."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.color import rgb_to_lightness, write_rgb
from photo.upsampling import color_strips

# Red's and blue's share of luma: ITU-R BT.601, BT.709 and BT.2020, by FFmpeg's number of the matrix (AVColorSpace).
_SHARES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
BT709, BT601 = 1, 6


@dataclass(frozen=True)
class LumaCoding:
    """How the numbers of a film's planes are meant.

    Attributes:
        bits: of a sample, 8 or 10.
        is_full: luma fills its numbers (0..255); else it is 16..235, and so on.
        matrix: FFmpeg's number of the matrix.
    """

    bits: int
    is_full: bool
    matrix: int

    def lightness(self, luma: NDArray[Any]) -> NDArray[np.float32]:
        """Return L* of a luma plane, float32 of its shape."""
        step = 1 << (self.bits - 8)
        black, white = (0, 256 * step - 1) if self.is_full else (16 * step, 235 * step)
        values = np.clip((np.arange(256 * step, dtype=np.float32) - black) / (white - black), 0, 1)
        table = rgb_to_lightness(np.repeat(values[:, None], 3, 1))
        lightness: NDArray[np.float32] = table[np.minimum(luma, len(table) - 1)]
        return lightness

    def chroma(
        self, luma: NDArray[Any], small: NDArray[np.float32], small_lightness: NDArray[np.float32]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the planes Cb and Cr, half as wide and high, of a frame.

        Args:
            luma: uint8 or uint16 [H, W], both even.
            small: a*b* at the network's size, float32 [h, w, 2], CIE units.
            small_lightness: L* at that size, float32 [h, w].
        """
        height, width = luma.shape
        half = cv2.resize(luma, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        lightness = self.lightness(half)
        rgb = np.empty((*half.shape, 3), np.float32)
        for rows, a, b in color_strips(small, small_lightness, lightness):
            write_rgb(lightness[rows], a, b, rgb[rows])
        red, blue = _SHARES[self.matrix]
        gray = rgb @ np.array([red, 1 - red - blue, blue], np.float32)
        step = 1 << (self.bits - 8)
        size, most = (256 * step - 1 if self.is_full else 224 * step), 256 * step - 1
        planes = [
            np.clip(np.rint(size * (rgb[..., channel] - gray) / (2 * (1 - share)) + 128 * step), 0, most)
            for channel, share in ((2, blue), (0, red))
        ]
        return planes[0].astype(luma.dtype), planes[1].astype(luma.dtype)
