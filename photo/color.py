"""Colour arithmetic of the client: sRGB, CIE L*a*b* (D65) and colorfulness, in float32 with NumPy and OpenCV.

OpenCV's own `COLOR_RGB2Lab` interpolates a coarse table for float32 images and is off by up to 0.4 units in a*; here
the curves are computed, and whatever is neutral in RGB has a* = b* = 0 but for rounding.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

# Linear sRGB -> CIE XYZ, IEC 61966-2-1. Each row is divided by its sum, which is the D65 white point: the result is
# XYZ relative to white, and white is exactly (1, 1, 1).
_XYZ_OF_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
RELATIVE_XYZ_OF_RGB = _XYZ_OF_RGB / _XYZ_OF_RGB.sum(axis=1, keepdims=True)
RGB_OF_RELATIVE_XYZ = np.linalg.inv(RELATIVE_XYZ_OF_RGB)

# CIE 15:2018: the cube root of L* becomes a straight line below (6/29)^3.
_CIE_DELTA = 6.0 / 29.0

# Rows handled at once: the float32 temporaries of a strip stay near the processor's cache, and a photograph of any size
# needs only its input, its output and a few megabytes.
_STRIP_PIXELS = 1 << 15

# A photograph whose colorfulness is under this is taken for gray: what says how right its colours are means nothing.
GRAY_COLORFULNESS = 4.0

Float32 = NDArray[np.float32]


def rgb_to_lab(rgb: NDArray[Any]) -> Float32:
    """Convert sRGB to CIE L*a*b*.

    Args:
        rgb: [..., 3], uint8, uint16 or floating point in 0..1.

    Returns:
        float32 [..., 3]: L* in 0..100, a* and b* in CIE units (about -110..110).

    Raises:
        TypeError: for another dtype.
        ValueError: when the last axis is not 3.
    """
    _check_rgb(rgb)
    return in_strips(lambda strip: _lab_of_linear(_linear(strip)), [rgb], 3, np.float32)


def rgb_to_lightness(rgb: NDArray[Any]) -> Float32:
    """Return the CIE lightness L* of sRGB: `rgb_to_lab(rgb)[..., 0]` at a third of the work.

    Args:
        rgb: [..., 3], uint8, uint16 or floating point in 0..1.

    Returns:
        float32 [...] in 0..100.
    """
    _check_rgb(rgb)
    luminance = RELATIVE_XYZ_OF_RGB[1:2]

    def convert(strip: NDArray[Any]) -> Float32:
        return 116.0 * _cie_root(mix_channels(_linear(strip), luminance)) - 16.0

    return in_strips(convert, [rgb], 1, np.float32)[..., 0]


def gray_of_mix(rgb: NDArray[Any], weights: tuple[float, float, float] | None = None) -> Float32:
    """Return the gray that a mix of linear red, green and blue makes: what an emulsion of that sensitivity records.

    Args:
        rgb: [..., 3], uint8, uint16 or floating point in 0..1.
        weights: of red, green and blue in linear light; CIE luminance without them, which keeps L*.

    Returns:
        float32 [...], the value of a neutral sRGB pixel, 0..1; brighter mixes are clipped.
    """
    _check_rgb(rgb)
    mix = RELATIVE_XYZ_OF_RGB[1:2] if weights is None else np.array([weights], np.float64)
    return in_strips(lambda strip: _gray_of_linear(mix_channels(_linear(strip), mix)), [rgb], 1, np.float32)[..., 0]


def lab_to_rgb(lab: NDArray[Any], dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """Convert CIE L*a*b* to sRGB; channels outside the gamut are clipped.

    Args:
        lab: [..., 3], L* in 0..100, a* and b* in CIE units.
        dtype: uint8, uint16 or float32 (0..1).

    Returns:
        [..., 3] of `dtype`.
    """
    _check_rgb_dtype(dtype)
    if lab.shape[-1:] != (3,):
        raise ValueError(f"expected L*a*b* of shape [..., 3], received {lab.shape}")
    return in_strips(lambda strip: encode_srgb(_linear_of_lab(strip), dtype), [lab], 3, dtype)


def convert_to_srgb(rgb: NDArray[np.uint16], to_linear: Callable[[NDArray[np.uint16]], Float32]) -> NDArray[np.uint16]:
    """Convert RGB of another space to sRGB; what lies outside its gamut is clipped.

    Args:
        rgb: uint16 [..., 3].
        to_linear: from a strip of its pixels, [N, 1, 3], to linear sRGB (white is 1).

    Returns:
        uint16 of the shape of `rgb`.
    """
    return in_strips(lambda strip: encode_srgb(to_linear(strip), np.uint16), [rgb], 3, np.uint16)


def relative_xyz_of_lab(lab: NDArray[Any]) -> Float32:
    """Return CIE XYZ, each relative to that of the white point, of L*a*b* under that white: [N, 1, 3] both."""
    fy = 16 / 116
    root = mix_channels(
        np.ascontiguousarray(lab, np.float32),
        np.array([[1 / 116, 1 / 500, 0, fy], [1 / 116, 0, 0, fy], [1 / 116, 0, -1 / 200, fy]], np.float64),
    )
    return _cie_cube(root)


def join_lightness_and_color(lightness: NDArray[Any], ab: NDArray[Any], dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """Return the sRGB photograph of this lightness and colour, with the lightness kept.

    A colour that sRGB cannot show at its lightness is mixed with the gray of that lightness until it fits: it loses
    chroma. Clipping its channels instead moves L* by 6 units on average over random colours, and by up to 38.

    Args:
        lightness: L*, [...], 0..100.
        ab: a*b*, [..., 2], in CIE units.
        dtype: uint8, uint16 or floating point (0..1).

    Returns:
        [..., 3] of `dtype`.
    """
    _check_rgb_dtype(dtype)
    if ab.shape != (*lightness.shape, 2):
        raise ValueError(f"expected ab of shape {(*lightness.shape, 2)} for this lightness, received {ab.shape}")
    rgb = np.empty((*lightness.shape, 3), dtype)
    write_rgb(lightness, ab[..., 0], ab[..., 1], rgb)
    return rgb


def write_rgb(lightness: NDArray[Any], a: NDArray[Any], b: NDArray[Any], rgb: NDArray[Any]) -> None:
    """Fill `rgb`, part of a photograph, as `join_lightness_and_color` does; here a* and b* lie apart.

    Args:
        lightness: L*, [...], 0..100.
        a: a*, of the same shape, in CIE units.
        b: b*, of the same shape.
        rgb: [..., 3], uint8, uint16 or floating point (0..1); written to.
    """
    flat = [np.ascontiguousarray(plane, np.float32).reshape(-1) for plane in (lightness, a, b)]
    flat_rgb = rgb.reshape(-1, 3)  # a view: whole rows of a photograph lie together
    for start in range(0, len(flat_rgb), _STRIP_PIXELS):
        strip = slice(start, start + _STRIP_PIXELS)
        _write_strip(*(plane[strip] for plane in flat), rgb=flat_rgb[strip])


def colorfulness(rgb: NDArray[Any]) -> float:
    """Return the colorfulness M3 of Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003).

    0 is gray; the paper calls 15 slightly, 45 averagely and 82 highly colourful.

    Args:
        rgb: [..., 3], uint8, uint16 or floating point in 0..1; the measure is taken on the scale 0..255.
    """
    _check_rgb(rgb)
    scaled = rgb.reshape(-1, 3).astype(np.float32) * np.float32(255.0 / _white(rgb.dtype))
    red, green, blue = scaled[:, 0], scaled[:, 1], scaled[:, 2]
    red_green = red - green
    yellow_blue = (red + green) / 2 - blue
    deviation = np.hypot(red_green.std(dtype=np.float64), yellow_blue.std(dtype=np.float64))
    mean = np.hypot(red_green.mean(dtype=np.float64), yellow_blue.mean(dtype=np.float64))
    return float(deviation + 0.3 * mean)


def _white(dtype: DTypeLike) -> float:
    dtype = np.dtype(dtype)
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def _check_rgb_dtype(dtype: DTypeLike) -> None:
    if np.dtype(dtype) not in (np.uint8, np.uint16) and np.dtype(dtype).kind != "f":
        raise TypeError(f"expected RGB as uint8, uint16 or floating point, received {np.dtype(dtype)}")


def _check_rgb(rgb: NDArray[Any]) -> None:
    _check_rgb_dtype(rgb.dtype)
    if rgb.shape[-1:] != (3,):
        raise ValueError(f"expected RGB of shape [..., 3], received {rgb.shape}")


def in_strips(
    convert: Callable[..., NDArray[Any]], images: list[NDArray[Any]], channels: int, dtype: DTypeLike
) -> NDArray[Any]:
    """Apply `convert` to a strip of pixels after the other; images [..., C] of one shape but for C."""
    shape = images[0].shape[:-1]
    pixels = [image.reshape(-1, 1, image.shape[-1]) for image in images]
    converted = np.empty((len(pixels[0]), 1, channels), dtype)
    for start in range(0, len(converted), _STRIP_PIXELS):
        strip = slice(start, start + _STRIP_PIXELS)
        converted[strip] = convert(*(image[strip] for image in pixels)).reshape(-1, 1, channels)
    return converted.reshape(*shape, channels)


def _power(base: Float32, exponent: float) -> Float32:
    return np.asarray(cv2.pow(base, exponent), np.float32).reshape(base.shape)


def mix_channels(image: NDArray[Any], matrix: NDArray[np.float64]) -> Float32:
    """Multiply every pixel of [N, 1, C] by a matrix [K, C], or [K, C + 1] with an offset: [N, 1, K]."""
    return np.asarray(cv2.transform(image, matrix), np.float32)


def _linear(rgb: NDArray[Any]) -> Float32:
    """Undo the transfer curve of sRGB (IEC 61966-2-1); integers through a table with an entry for every value."""
    if rgb.dtype == np.uint8:
        return np.asarray(cv2.LUT(np.ascontiguousarray(rgb), _LINEAR_OF_INTEGER[rgb.dtype]))
    if rgb.dtype == np.uint16:
        return np.take(_LINEAR_OF_INTEGER[rgb.dtype], rgb, mode="clip")  # "clip" only spares a check: every index fits
    return _linear_of_encoded(np.clip(rgb, 0.0, 1.0).astype(np.float32))


def _linear_of_encoded(encoded: Float32) -> Float32:
    curve = _power((encoded + np.float32(0.055)) / np.float32(1.055), 2.4)
    return np.where(encoded <= 0.04045, encoded / np.float32(12.92), curve)


def encode_srgb(linear: Float32, dtype: DTypeLike) -> NDArray[Any]:
    """Apply the transfer curve of sRGB and scale to `dtype`."""
    linear = np.clip(linear, 0.0, 1.0)
    encoded = np.where(
        linear <= 0.0031308,
        linear * np.float32(12.92),
        np.float32(1.055) * _power(linear, 1 / 2.4) - np.float32(0.055),
    )
    white = _white(dtype)
    return (encoded * np.float32(white) + np.float32(0.5)).astype(dtype) if white > 1 else encoded.astype(dtype)


def _gray_of_linear(linear: Float32) -> Float32:
    """Apply the transfer curve of sRGB by a table: several times as quick as computing it."""
    steps = np.clip(linear * np.float32(65535) + np.float32(0.5), 0, 65535).astype(np.uint16)
    return np.asarray(np.take(_GRAY_OF_LINEAR, steps, mode="clip"))


def _cie_root(relative: Float32) -> Float32:
    # The line is the root's tangent where it takes over: the root of what lies above, plus the line below.
    above = np.maximum(relative, _CIE_DELTA**3)
    root = _power(above, 1 / 3)
    root += (relative - above) * (1 / (3 * _CIE_DELTA**2))
    return root


def _cie_cube(root: Float32) -> Float32:
    # As above: root^3 where the root exceeds delta, its tangent there elsewhere.
    above = np.maximum(root, _CIE_DELTA)
    cube = above * above
    cube -= 3 * _CIE_DELTA**2
    cube *= above
    cube += root * (3 * _CIE_DELTA**2)
    return cube


def _lab_of_linear(linear: Float32) -> Float32:
    root = _cie_root(mix_channels(linear, RELATIVE_XYZ_OF_RGB))
    return mix_channels(root, np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], np.float64))


def _linear_of_lab(lab: NDArray[Any]) -> Float32:
    """Return linear sRGB, not clipped: channels below 0 or above 1 mark a colour outside the gamut."""
    return mix_channels(relative_xyz_of_lab(lab), RGB_OF_RELATIVE_XYZ)


def _write_strip(lightness: Float32, a: Float32, b: Float32, *, rgb: NDArray[Any]) -> None:
    for channel, plane in enumerate(_displayable_linear(lightness, a, b)):
        if rgb.dtype == np.uint8:
            plane *= 65535
            plane += 0.5  # also lifts what rounding has put just below 0
            rgb[:, channel] = np.take(_ENCODED_OF_LINEAR, plane.astype(np.uint16), mode="clip")
        else:
            rgb[:, channel] = encode_srgb(plane, rgb.dtype)


def _displayable_linear(lightness: Float32, a: Float32, b: Float32) -> list[Float32]:
    """Return red, green and blue of linear sRGB inside the gamut, every pixel at its own lightness.

    In linear RGB the luminance is a weighted sum, so the straight line from a colour to the gray of its luminance keeps
    the luminance, hence L*, exactly. A colour outside the gamut moves along it as far as the first channel demands.
    """
    fy = np.clip(lightness, 0.0, 100.0)
    fy += 16
    fy *= 1 / 116
    gray = _cie_cube(fy)
    # White is (1, 1, 1) in both spaces, so only the differences from gray need the matrix, and Y has none.
    x_minus_y = _cie_cube(fy + a * (1 / 500)) - gray
    z_minus_y = _cie_cube(fy - b * (1 / 200)) - gray
    red, green, blue = (row[0] * x_minus_y + row[2] * z_minus_y for row in RGB_OF_RELATIVE_XYZ.tolist())
    smallest = 1e-6  # for gray itself, which needs no room
    below = np.maximum(-np.minimum(np.minimum(red, green), blue), smallest)
    above = np.maximum(np.maximum(np.maximum(red, green), blue), smallest)
    kept = np.minimum(np.minimum(gray / below, (1 - gray) / above), 1)
    for difference in (red, green, blue):
        difference *= kept
        difference += gray
    return [red, green, blue]


_LINEAR_OF_INTEGER = {
    np.dtype(dtype): _linear_of_encoded(np.linspace(0, 1, np.iinfo(dtype).max + 1, dtype=np.float32))
    for dtype in (np.uint8, np.uint16)
}

# The 8-bit code of linear sRGB in 65536 steps: the curve is steepest at black, where one step is 0.05 codes.
_ENCODED_OF_LINEAR = encode_srgb(np.linspace(0, 1, 1 << 16, dtype=np.float32), np.uint8)
_GRAY_OF_LINEAR = encode_srgb(np.linspace(0, 1, 1 << 16, dtype=np.float32), np.float32)
