"""The L*a*b* of TIFF files, under D50, on its way to sRGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.color import Float32, encode_srgb, in_strips, mix_channels, relative_xyz_of_lab
from photo.icc_profile import D50, D50_OF_SRGB


def cie_lab(samples: NDArray[Any]) -> Float32:
    """Return L* (0..100), a* and b* of PhotometricInterpretation 8: a* and b* are signed (TIFF 6.0, section 23)."""
    return _lab(samples, white=np.iinfo(_unsigned(samples)).max, signed=True)


def icc_lab(samples: NDArray[Any]) -> Float32:
    """Return L* (0..100), a* and b* of PhotometricInterpretation 9: the encoding of ICC profiles of version 2."""
    white = 0xFF00 if samples.dtype.itemsize == 2 else 255
    return _lab(samples, white=white, signed=False)


def lab_to_srgb(lab: Float32, dtype: Any) -> NDArray[Any]:
    """Convert L*a*b* under D50, [H, W, 3], to sRGB of `dtype`; what lies outside its gamut is clipped."""
    matrix = np.linalg.inv(D50_OF_SRGB) * D50
    return in_strips(
        lambda strip: encode_srgb(mix_channels(relative_xyz_of_lab(strip), matrix), dtype), [lab], 3, dtype
    )


def _unsigned(samples: NDArray[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{samples.dtype.itemsize}")


def _lab(samples: NDArray[Any], *, white: int, signed: bool) -> Float32:
    unsigned = samples.view(_unsigned(samples)) if samples.dtype.kind == "i" else samples
    lab = np.zeros((*samples.shape[:2], 3), np.float32)
    lab[..., 0] = np.minimum(unsigned[..., 0].astype(np.float32) * (100 / white), 100)
    if samples.shape[2] >= 3:
        step = 1 if samples.dtype.itemsize == 1 else 256
        numbers = unsigned[..., 1:3]
        if signed:
            lab[..., 1:] = numbers.astype(_unsigned(samples)).view(f"i{samples.dtype.itemsize}") / step
        else:
            lab[..., 1:] = numbers.astype(np.float32) / step - 128
    return lab
