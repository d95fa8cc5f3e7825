"""Measures the tint of a toned or yellowed gray photograph (sepia, cyanotype, old paper), so that it can be kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.color import rgb_to_lab
from photo.coloring_options import ColorPhotos
from photo.errors import PhotoError

# Pixels that are looked at: their medians hardly move with more of them.
_SAMPLE_PIXELS = 1 << 16

# Bands of lightness, each with a tint of its own, and the share of the pixels that one needs to have a say.
_BANDS = 16
_SMALLEST_SHARE = 0.002

# Bands to either side whose median smooths the tint: a stamp of one colour may fill a band.
_NEIGHBOURS = 2

# A photograph is toned when nine tenths of its pixels lie so near to the tint, in CIE units of a*b*; the rest may be
# stains or ink. Measured: toned ones with strong grain, also as JPEG files of quality 40, 3 to 6; ones in colour 14 up.
_MOST, _NEAR = 0.9, 9.0


@dataclass(frozen=True)
class Tint:
    """The tint of a photograph along its lightness; between two entries it changes evenly, beyond the ends it stays.

    Attributes:
        lightness: L*, [N], growing; N is at least 1.
        ab: a*b* at it, [N, 2], CIE units.
    """

    lightness: NDArray[np.float32]
    ab: NDArray[np.float32]

    def of(self, lightness: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a* and b* at each lightness, in its shape."""
        # A table of fine steps: np.interp at every pixel of a photograph would take longer than colouring it.
        steps = np.linspace(0, 100, 1001)
        index = np.clip(lightness * 10 + 0.5, 0, 1000).astype(np.int16)
        a, b = (np.interp(steps, self.lightness, self.ab[:, channel]).astype(np.float32)[index] for channel in (0, 1))
        return a, b


def measure_tint(rgb: NDArray[Any]) -> Tint | None:
    """Return the tint that the pixels of a gray photograph have in common.

    A toner colours light and shade differently (paper white may be yellowed and the blacks neutral), so the tint is the
    median a*b* of the pixels of about one lightness, and the median over neighbouring lightnesses. Scratches, stains,
    stamps and grain hardly move it.

    Args:
        rgb: [H, W, 3] sRGB; uint8, uint16 or floating point in 0..1.

    Returns:
        The tint; None for a photograph in colour, which has none.
    """
    step = max(1, int(np.sqrt(rgb.shape[0] * rgb.shape[1] / _SAMPLE_PIXELS)))
    lab = rgb_to_lab(np.ascontiguousarray(rgb[::step, ::step])).reshape(-1, 3)
    band_of = np.clip(lab[:, 0] * (_BANDS / 100), 0, _BANDS - 1).astype(int)
    counts = np.bincount(band_of, minlength=_BANDS)
    # The fullest band is always there, however small the photograph.
    bands = np.flatnonzero(counts >= min(max(_SMALLEST_SHARE * len(lab), 8), counts.max()))
    medians = np.array([np.median(lab[band_of == band], axis=0) for band in bands], np.float32)
    reach = [min(index, len(medians) - 1 - index, _NEIGHBOURS) for index in range(len(medians))]
    ab = [np.median(medians[index - r : index + r + 1, 1:], axis=0) for index, r in enumerate(reach)]
    tint = Tint(medians[:, 0], np.array(ab, np.float32))
    distance = np.hypot(*(lab[:, 1:].T - np.stack(tint.of(lab[:, 0]))))
    return tint if np.quantile(distance, _MOST) <= _NEAR else None


def color_notes(rgb: NDArray[Any], color_photos: ColorPhotos) -> tuple[str, ...]:
    """Return what is to be said of a photograph that has colour already; nothing of a gray or toned one.

    Args:
        rgb: [H, W, 3] sRGB, as for `measure_tint`.
        color_photos: what is to be done with one that has colour.

    Raises:
        PhotoError: with the reason `in_color`, where it is to be left as it is.
    """
    if measure_tint(rgb) is not None:
        return ()
    if color_photos is not ColorPhotos.RECOLOR:
        raise PhotoError("in_color", "it has colour already, and such photographs are to be left as they are")
    return ("it had colour already, which was replaced",)
