"""What the numbers of RGB mean where a file says it without an ICC profile: by PNG's chunks, EXIF or code points."""

import functools
import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from photo.icc_profile import CurvesProfile

# x and y of white, red, green and blue, as in PNG's cHRM.
Chromaticities = tuple[float, ...]

_D65 = (0.3127, 0.3290)
_SRGB = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE_RGB = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)  # Adobe RGB (1998), 4.3.1
_ADOBE_GAMMA = 563 / 256

# ColourPrimaries of ITU-T H.273, table 2.
_PRIMARIES = {
    1: _SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}

# Luminance of diffuse white in HDR (ITU-R BT.2408, 2.1), in cd/m2.
_HDR_WHITE = 203.0
HDR_NOTE = "its range is larger than a screen's (HDR): what is brighter than white became white"

# Bradford's matrix, from XYZ to the responses of cones that white points are adapted in (ICC.1:2022, annex E).
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

# The display that PNG's gAMA is to be corrected for (W3C PNG, 13.13). Viewers take a screen in sRGB for one of this
# exponent, so that the 0.45455 of a PNG in sRGB changes nothing.
_DISPLAY_EXPONENT = 2.2

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _srgb_curve(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _bt709_curve(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo the curve of a camera (ITU-R BT.709-6, item 1.2)."""
    return np.where(value < 0.081, value / 4.5, ((value + 0.099) / 1.099) ** (1 / 0.45))


def _pq_curve(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Luminance by SMPTE ST 2084, where diffuse white is 1."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = value ** (1 / m2)
    return 10_000 / _HDR_WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_curve(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Luminance by Hybrid Log-Gamma on a display of 1000 cd/m2 (ITU-R BT.2100, table 5), where diffuse white is 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
    return 1000 / _HDR_WHITE * scene**1.2


# TransferCharacteristics of ITU-T H.273, table 3.
_TRANSFERS: dict[int, Curve] = {
    1: _bt709_curve,
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    6: _bt709_curve,
    8: lambda value: value,
    13: _srgb_curve,
    14: _bt709_curve,
    15: _bt709_curve,
    16: _pq_curve,
    18: _hlg_curve,
}
_HDR_TRANSFERS = (16, 18)


def rgb_space(chromaticities: Chromaticities, curve: Curve) -> CurvesProfile | None:
    """Return RGB of these primaries and this curve; None where that is sRGB, or no colours can have such primaries.

    Args:
        chromaticities: x and y of white, red, green and blue.
        curve: from a value of 0..1 to linear light, where white is 1.
    """
    try:
        matrix = np.linalg.solve(_xyz_of(_SRGB), _xyz_of(chromaticities))
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    values = np.linspace(0.0, 1.0, 1 << 16)
    light = curve(values)
    if not np.isfinite(matrix).all() or np.abs(matrix).max() > 10 or not np.isfinite(light).all():
        return None
    if np.allclose(matrix, np.eye(3), atol=2e-3) and np.allclose(light, _srgb_curve(values), atol=1e-3):
        return None
    curves = np.stack([light.astype(np.float32)] * 3)
    return CurvesProfile("RGB", curves, np.column_stack([matrix, np.zeros(3)]))


@functools.cache
def adobe_rgb() -> CurvesProfile:
    """Return Adobe RGB (1998)."""
    space = rgb_space(_ADOBE_RGB, lambda value: value**_ADOBE_GAMMA)
    assert space is not None
    return space


def of_code_points(primaries: int, transfer: int) -> tuple[CurvesProfile | None, str | None]:
    """Return the space of coding-independent code points (ITU-T H.273), None for sRGB; and a note where it is HDR.

    Raises:
        KeyError: code points that stand for no space known here.
    """
    space = rgb_space(_PRIMARIES[primaries], _TRANSFERS[transfer])
    return space, HDR_NOTE if transfer in _HDR_TRANSFERS else None


def png_space(data: bytes) -> tuple[bool, CurvesProfile | None, str | None]:
    """Return what the chunks of a PNG say of its colours, by their precedence (W3C PNG, 4.3).

    Returns:
        Whether its ICC profile counts; where it does not, the space that its other chunks say, None for sRGB; and a
        note where it is HDR.
    """
    chunks = _png_chunks(data)
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[2:] == b"\0\1":  # the matrix of RGB, and the full range
        try:
            return (False, *of_code_points(cicp[0], cicp[1]))
        except KeyError:
            pass
    if b"iCCP" in chunks:
        return True, None, None
    if b"sRGB" in chunks:
        return False, None, None
    gamma, chromaticities, curve = chunks.get(b"gAMA", b""), _SRGB, _srgb_curve
    if len(primaries := chunks.get(b"cHRM", b"")) == 32:
        chromaticities = tuple(value / 100_000 for value in struct.unpack(">8I", primaries))
    if len(gamma) == 4 and (number := int.from_bytes(gamma)):
        exponent = 100_000 / number / _DISPLAY_EXPONENT

        def curve(value: NDArray[np.float64]) -> NDArray[np.float64]:
            return _srgb_curve(value**exponent)

    return False, rgb_space(chromaticities, curve), None


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a PNG that stand before its pixels, by name."""
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at + 12 <= len(data) and (name := data[at + 4 : at + 8]) != b"IDAT":
        size = int.from_bytes(data[at : at + 4])
        chunks.setdefault(name, data[at + 8 : at + 8 + min(size, 64)])
        at += 12 + size
    return chunks


def _xyz_of(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, its white adapted to that of sRGB (SMPTE RP 177, Bradford)."""
    points = [np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(*[iter(chromaticities)] * 2, strict=True)]
    white, primaries = points[0], np.stack(points[1:], axis=1)
    to_xyz = primaries * np.linalg.solve(primaries, white)
    target = np.array([_D65[0] / _D65[1], 1.0, (1 - sum(_D65)) / _D65[1]])
    adaptation = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ target / (_BRADFORD @ white)) @ _BRADFORD)
    adapted: NDArray[np.float64] = adaptation @ to_xyz
    return adapted
