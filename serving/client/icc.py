"""Colour profiles of 16-bit photographs: curves and a matrix, as scanners and cameras write them (ICC.1:2022).

littlecms, through Pillow, converts 8 bits a channel alone. A profile of another kind (tables of several dimensions, as
of printers) is left to it.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.client.color import convert_to_srgb

# sRGB's primaries in the profiles' own space, XYZ under D50 (IEC 61966-2-1, adapted by Bradford's matrix).
_D50_OF_SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_CODES = 1 << 16
_HEADER = 128
_BRIGHTEST = 100.0  # times white; no curve of a photograph goes there
# The numbers of parameters of the kinds of parametricCurveType, 0 to 4 (ICC.1:2022, table 68).
_PARAMETERS = (1, 3, 4, 5, 7)


@dataclass(frozen=True)
class CurvesProfile:
    """What a profile makes of a 16-bit value.

    Attributes:
        space: "GRAY" or "RGB".
        curves: float32 [3, 65536], the linear light (white is 1) of every value, of red, green and blue.
        matrix: [3, 4], from it and 1 to linear sRGB.
    """

    space: str
    curves: NDArray[np.float32]
    matrix: NDArray[np.float64]

    def to_srgb(self, rgb: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Convert uint16 [..., 3] to sRGB; colours outside of it are clipped, as relative colorimetric intent does."""
        return convert_to_srgb(rgb, self.curves, self.matrix)


def read_curves_profile(profile: bytes) -> CurvesProfile | None:
    """Return what an ICC profile says when it says it in curves; None for another kind, or a broken one."""
    try:
        tags = _tags(profile)
        space = profile[16:20].decode("ascii").strip()
        if {"A2B0", "D2B0"} & tags.keys() or profile[20:24] != b"XYZ ":
            return None
        if space == "GRAY":
            curves = np.stack([_curve(tags["kTRC"])] * 3)
            return CurvesProfile(space, curves, _black_to_zero(np.eye(3), curves[:, 0]))
        if space == "RGB":
            curves = np.stack([_curve(tags[name]) for name in ("rTRC", "gTRC", "bTRC")])
            primaries = np.stack([_xyz(tags[name]) for name in ("rXYZ", "gXYZ", "bXYZ")], axis=1)
            matrix = np.linalg.solve(_D50_OF_SRGB, primaries)
            return CurvesProfile(space, curves, _black_to_zero(matrix, curves[:, 0]))
    except (struct.error, KeyError, ValueError, IndexError):
        pass
    return None


def _tags(profile: bytes) -> dict[str, memoryview]:
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    tags = {}
    for entry in range(min(count, 100)):
        name, start, size = struct.unpack_from(">4sII", profile, _HEADER + 4 + 12 * entry)
        tags[name.decode("latin-1")] = memoryview(profile)[start : start + size]
    return tags


def _black_to_zero(matrix: NDArray[np.float64], darkest: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return [3, 4]: `matrix`, then black point compensation, with which littlecms goes to sRGB (of version 4).

    The luminance of the darkest colour becomes 0 and white stays: ISO 18619, with that black taken as neutral and at
    most of lightness 50, as littlecms does.
    """
    black = min(max(float(_D50_OF_SRGB[1] @ matrix @ darkest), 0.0), ((50 + 16) / 116) ** 3)
    return np.column_stack([matrix, np.full(3, -black)]) / (1 - black)


def _xyz(tag: memoryview) -> NDArray[np.float64]:
    if tag[:4] != b"XYZ ":
        raise ValueError("not of XYZType")
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: memoryview) -> NDArray[np.float32]:
    """Return float32 [65536] of a curveType or parametricCurveType; the latter may leave 0..1, as in littlecms."""
    value = np.linspace(0.0, 1.0, _CODES)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            light = value
        elif count == 1:
            light = value ** (struct.unpack_from(">H", tag, 12)[0] / 256)
        else:
            points = np.frombuffer(tag, ">u2", count, 12) / 65535
            light = np.interp(value, np.linspace(0.0, 1.0, count), points)
    elif tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        light = _parametric(value, np.array(struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)) / 65536)
    else:
        raise ValueError("not a curve")
    if not (np.abs(light) < _BRIGHTEST).all():  # nor is it a number then
        raise ValueError("a curve without bounds")
    return light.astype(np.float32)


def _parametric(value: NDArray[np.float64], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Y = (aX + b)^g + e from X = d on, below it cX + f; what a kind leaves out is 0, and a 1 (ICC.1:2022, 10.18)."""
    g, a, b, c, d, e, f = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    with np.errstate(all="ignore"):  # what is no number in the end is refused by the caller
        match len(parameters):
            case 1:
                (g,) = parameters
            case 3:
                g, a, b = parameters
                d = -b / a
            case 4:
                g, a, b, e = parameters
                d, f = -b / a, e
            case 5:
                g, a, b, c, d = parameters
            case 7:
                g, a, b, c, d, e, f = parameters
        return np.where(value >= d, np.maximum(a * value + b, 0.0) ** g + e, c * value + f)
