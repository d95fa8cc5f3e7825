"""Colour profiles of 16-bit photographs (ICC.1:2022): curves and a matrix, as cameras write them, and tables of several
dimensions, as targets make them for scanners.

littlecms, through Pillow, converts 8 bits a channel alone. A profile of yet another kind is left to it.
"""

import dataclasses
import functools
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.color import Float32, convert_to_srgb, relative_xyz_of_lab

# sRGB's primaries in the profiles' own space, XYZ under D50 (IEC 61966-2-1, adapted by Bradford's matrix).
D50_OF_SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
# The white of the profiles' own space, and what the largest number of 16 bits means in its XYZ (ICC.1:2022, 6.3.4.2).
D50 = np.array([0.9642, 1.0, 0.8249])
_LARGEST_XYZ = 1 + 32767 / 32768
# The luminance of black that tables of version 4 mean (ICC.1:2022, 6.3.3).
_PERCEPTUAL_BLACK = 0.0034731
_CODES = 1 << 16
_HEADER = 128
_BRIGHTEST = 100.0  # times white; no curve of a photograph goes there
# The numbers of parameters of the kinds of parametricCurveType, 0 to 4 (ICC.1:2022, table 68).
_PARAMETERS = (1, 3, 4, 5, 7)
_MOST_TABLE_ENTRIES = 1 << 22


@dataclass(frozen=True)
class CurvesProfile:
    """What a profile of curves and a matrix makes of a 16-bit value.

    Attributes:
        space: "GRAY" or "RGB".
        curves: float32 [3, 65536], the linear light (white is 1) of every value, of red, green and blue.
        matrix: [3, 4], from it and 1 to linear sRGB.
    """

    space: str
    curves: Float32
    matrix: NDArray[np.float64]

    def to_srgb(self, rgb: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Convert uint16 [..., 3] to sRGB; colours outside of it are clipped, as relative colorimetric intent does."""
        return convert_to_srgb(rgb, self._linear)

    def _linear(self, strip: NDArray[np.uint16]) -> Float32:
        channels = [np.take(curve, strip[..., channel], mode="clip") for channel, curve in enumerate(self.curves)]
        return _transformed(np.stack(channels, axis=-1), self.matrix)


@dataclass(frozen=True)
class TablesProfile:
    """What a profile of tables (lut8Type, lut16Type, lutAToBType) makes of a 16-bit value.

    The stages are those of lutAToBType in their order; in the older kinds `middle` and `matrix` are absent.

    Attributes:
        space: "GRAY", "RGB" or "CMYK".
        first: float32 [channels, 65536], curves of the values, to 0..1.
        grid: float32 [g, ..., g, 3], an axis for each channel, its last of the colours at the grid's points, 0..1.
        middle: float32 [3, 65536], curves of those, or None.
        matrix: [3, 4] on what they give and 1, or None.
        last: float32 [3, 65536], curves of what comes out.
        decoded: [3, 4], from that and 1 to L*a*b* or XYZ.
        is_lab: which of them, under D50.
        to_linear_srgb: [3, 4], from XYZ and 1.
    """

    space: str
    first: Float32
    grid: Float32
    middle: Float32 | None
    matrix: NDArray[np.float64] | None
    last: Float32
    decoded: NDArray[np.float64]
    is_lab: bool
    to_linear_srgb: NDArray[np.float64]

    def to_srgb(self, rgb: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Convert uint16 [..., 3] (of gray three times the same; of CMYK [..., 4]) to sRGB, clipped to its gamut."""
        return convert_to_srgb(rgb, lambda strip: _transformed(self.xyz(strip), self.to_linear_srgb))

    def xyz(self, strip: NDArray[np.uint16]) -> Float32:
        """XYZ under D50, where the luminance of white is 1, of uint16 [N, 1, 3]."""
        values = np.stack([np.take(curve, strip[:, 0, channel]) for channel, curve in enumerate(self.first)], axis=-1)
        color = _between_points(self.grid, values)
        if self.middle is not None:
            color = _through_curves(self.middle, color)
        if self.matrix is not None:
            color = _transformed(color[:, None], self.matrix)[:, 0]
        color = _transformed(_through_curves(self.last, color)[:, None], self.decoded)
        return relative_xyz_of_lab(color) * D50.astype(np.float32) if self.is_lab else color


def read_profile(profile: bytes) -> CurvesProfile | TablesProfile | None:
    """Return what an ICC profile says of 16-bit values; None for a kind that is not known here, or a broken one."""
    try:
        tags = _tags(profile)
        space = profile[16:20].decode("ascii").strip()
        if space not in ("GRAY", "RGB", "CMYK") or "D2B0" in tags:
            return None
        if "A2B0" in tags:
            return _tables_profile(profile, space, tags["A2B0"])
        if profile[20:24] != b"XYZ " or space == "CMYK":
            return None
        if space == "GRAY":
            curves = np.stack([_curve(tags["kTRC"])[0]] * 3)
            matrix = np.eye(3)
        else:
            curves = np.stack([_curve(tags[name])[0] for name in ("rTRC", "gTRC", "bTRC")])
            primaries = np.stack([_xyz(tags[name]) for name in ("rXYZ", "gXYZ", "bXYZ")], axis=1)
            matrix = np.linalg.solve(D50_OF_SRGB, primaries)
        return CurvesProfile(space, curves, _black_to_zero(matrix, float(D50_OF_SRGB[1] @ matrix @ curves[:, 0])))
    except (struct.error, KeyError, ValueError, IndexError):
        return None


@functools.lru_cache(maxsize=8)  # an album has one or two
def is_srgb(profile: bytes) -> bool:
    """Return whether an ICC profile of RGB says nothing else than sRGB, whatever it calls itself."""
    known = read_profile(profile)
    if not isinstance(known, CurvesProfile):
        return False
    value = np.linspace(0.0, 1.0, _CODES)
    srgb = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.allclose(known.matrix[:, :3], np.eye(3), atol=5e-3) and np.allclose(known.curves, srgb, atol=2e-3)


def _tags(profile: bytes) -> dict[str, memoryview]:
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    tags = {}
    for entry in range(min(count, 100)):
        name, start, size = struct.unpack_from(">4sII", profile, _HEADER + 4 + 12 * entry)
        tags[name.decode("latin-1")] = memoryview(profile)[start : start + size]
    return tags


def _black_to_zero(matrix: NDArray[np.float64], luminance: float) -> NDArray[np.float64]:
    """Return [3, 4]: `matrix`, then black point compensation, with which littlecms goes to sRGB (of version 4).

    The luminance of the darkest colour becomes 0 and white stays: ISO 18619, with that black taken as neutral and at
    most of lightness 50, as littlecms does.
    """
    black = min(max(luminance, 0.0), ((50 + 16) / 116) ** 3)
    return np.column_stack([matrix, np.full(3, -black)]) / (1 - black)


def _tables_profile(profile: bytes, space: str, tag: memoryview) -> TablesProfile:
    channels = {"GRAY": 1, "RGB": 3, "CMYK": 4}[space]
    is_lab = {b"Lab ": True, b"XYZ ": False}[profile[20:24]]
    if (tag[8], tag[9]) != (channels, 3):
        raise ValueError("another number of channels than the profile's")
    kind = bytes(tag[:4])
    middle = matrix = None
    if kind == b"mAB ":
        places = struct.unpack_from(">5I", tag, 12)
        last, middle = _curves(tag, places[0], 3), _curves(tag, places[2], 3) if places[2] else None
        if places[1]:
            numbers = np.array(struct.unpack_from(">12i", tag, places[1])) / 65536
            matrix = np.column_stack([numbers[:9].reshape(3, 3), numbers[9:]])
        if places[3]:
            first = _curves(tag, places[4], channels)
            sides = tuple(tag[places[3] : places[3] + channels])
            grid = _numbers(tag, places[3] + 20, sides, tag[places[3] + 16])
        elif channels == 3:  # nothing between the channels and the colours: a grid that changes nothing
            first = np.stack([np.linspace(0.0, 1.0, _CODES, dtype=np.float32)] * channels)
            grid = np.stack(np.meshgrid(*[np.array([0, 1], np.float32)] * 3, indexing="ij"), axis=-1)
        else:
            raise ValueError("one channel cannot be three colours")
    elif kind in (b"mft1", b"mft2"):
        width, entries, start = 1, (256, 256), 48
        if kind == b"mft2":
            width, entries, start = 2, struct.unpack_from(">2H", tag, 48), 52
        sides = (tag[10],) * channels
        places = np.cumsum([start, channels * entries[0] * width, np.prod(sides) * 3 * width]).tolist()
        first = _sampled(_numbers(tag, places[0], (channels,), width, entries[0]))
        grid = _numbers(tag, places[1], sides, width)
        last = _sampled(_numbers(tag, places[2], (3,), width, entries[1]))
    else:
        raise ValueError("no table")
    # In 16 bits the older kind ends L* at 0xFF00 (ICC.1:2022, 10.10); a* and b* then have 256 steps of a whole unit.
    step = 65535 / 65280 if kind == b"mft2" else 1.0
    lab = np.column_stack([np.diag([100 * step, 255 * step, 255 * step]), [0, -128, -128]])
    decoded = lab if is_lab else np.column_stack([np.eye(3) * _LARGEST_XYZ, np.zeros(3)])
    matrix_of_srgb = np.linalg.inv(D50_OF_SRGB)
    read = TablesProfile(space, first, grid, middle, matrix, last, decoded, is_lab, matrix_of_srgb)
    version = profile[8]
    darkest = np.full((1, 1, 4), 65535 if space == "CMYK" else 0, np.uint16)
    black = _PERCEPTUAL_BLACK if version >= 4 else float(read.xyz(darkest)[0, 0, 1])
    return dataclasses.replace(read, to_linear_srgb=_black_to_zero(matrix_of_srgb, black))


def _numbers(tag: memoryview, start: int, sides: tuple[int, ...], width: int, last: int = 3) -> Float32:
    """Return float32 [*sides, last], 0..1, of integers of `width` bytes."""
    shape = (*sides, last)
    if min(sides) < 1 or last < 2 or np.prod(shape, dtype=np.int64) > _MOST_TABLE_ENTRIES:
        raise ValueError("not a table")
    kind = {1: "u1", 2: ">u2"}[width]
    numbers: NDArray[Any] = np.frombuffer(tag, np.dtype(kind), int(np.prod(shape)), start)
    shares: Float32 = (numbers.reshape(shape) / (256**width - 1)).astype(np.float32)
    return shares


def _sampled(points: Float32) -> Float32:
    """Return [channels, 65536] of curves through [channels, n] evenly spaced points."""
    value, places = np.linspace(0.0, 1.0, _CODES), np.linspace(0.0, 1.0, points.shape[1])
    return np.stack([np.interp(value, places, curve) for curve in points]).astype(np.float32)


def _curves(tag: memoryview, start: int, count: int) -> Float32:
    """Return [count, 65536] of curves that follow each other, each at a multiple of four bytes."""
    curves = []
    for _ in range(count):
        curve, size = _curve(tag[start:])
        curves.append(curve)
        start += -(-size // 4) * 4
    return np.stack(curves)


def _through_curves(curves: Float32, color: Float32) -> Float32:
    """Apply [3, 65536] to the channels of [N, 3], which are taken from 0..1."""
    codes = (np.clip(color, 0.0, 1.0) * (_CODES - 1) + 0.5).astype(np.uint16)
    return np.stack([np.take(curve, codes[:, channel]) for channel, curve in enumerate(curves)], axis=-1)


def _between_points(grid: Float32, values: Float32) -> Float32:
    """Look values of 0..1, [N, channels], up in [g, ..., g, 3], interpolated between the corners of simplices.

    In three dimensions those are Sakamoto's six tetrahedra (US patent 4275413, 1981), as in littlecms: from the corner
    below along the axes in the order of what is left of the values.
    """
    sides = np.array(grid.shape[:-1])
    steps = np.cumprod([1, *sides[:0:-1]])[::-1]
    place = np.clip(values, 0.0, 1.0) * (sides - 1).astype(np.float32)
    below = np.clip(place.astype(np.int64), 0, np.maximum(sides - 2, 0))
    left = place - below
    order = np.argsort(-left, axis=1, kind="stable")
    left = np.take_along_axis(left, order, axis=1).astype(np.float32)
    along = np.where(sides > 1, steps, 0)[order]
    corner = below @ steps
    colors = grid.reshape(-1, 3)
    result = (1 - left[:, :1]) * colors[corner]
    for axis in range(values.shape[1]):
        corner = corner + along[:, axis]
        rest = left[:, axis + 1 : axis + 2] if axis + 1 < values.shape[1] else 0
        result += (left[:, axis : axis + 1] - rest) * colors[corner]
    return result


def _transformed(color: Float32, matrix: NDArray[np.float64]) -> Float32:
    return np.asarray(cv2.transform(color, matrix), np.float32)


def _xyz(tag: memoryview) -> NDArray[np.float64]:
    if bytes(tag[:4]) != b"XYZ ":
        raise ValueError("not of XYZType")
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: memoryview) -> tuple[Float32, int]:
    """Return a curveType or parametricCurveType as float32 [65536], and its size in bytes.

    The latter kind may leave 0..1, as in littlecms.
    """
    value = np.linspace(0.0, 1.0, _CODES)
    if bytes(tag[:4]) == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        size = 12 + 2 * count
        if count == 0:
            light = value
        elif count == 1:
            light = value ** (struct.unpack_from(">H", tag, 12)[0] / 256)
        else:
            points = np.frombuffer(tag, ">u2", count, 12) / 65535
            light = np.interp(value, np.linspace(0.0, 1.0, count), points)
    elif bytes(tag[:4]) == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        size = 12 + 4 * _PARAMETERS[kind]
        light = _parametric(value, np.array(struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)) / 65536)
    else:
        raise ValueError("not a curve")
    if not (np.abs(light) < _BRIGHTEST).all():  # nor is it a number then
        raise ValueError("a curve without bounds")
    return light.astype(np.float32), size


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
