"""Takes the samples of a picture to sRGB: by its ICC profile, by what else the file says, or as they are."""

import functools
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from photo.icc_profile import CurvesProfile, is_srgb, read_profile
from photo.picture import Picture, Samples
from photo.sixteen_bit import to_eight_bits

_STRIP_PIXELS = 2**20  # converted at a time

BROKEN_PROFILE = "its colour profile is broken and was ignored: its numbers were taken as sRGB"
EIGHT_BITS = "its 16 bits became 8, because its colour profile is of a kind that is converted with 8 bits alone"


def to_srgb(picture: Picture) -> tuple[NDArray[Any], str | None]:
    """Take a picture to sRGB.

    Args:
        picture: as it was read; its alpha channel is left alone.

    Returns:
        uint8 or uint16 [H, W, 3], as its samples (uint8 also where littlecms alone knows the kind of its profile), and
        a note where the file could not be believed.
    """
    samples, icc = picture.samples, picture.icc
    if icc is None:
        if picture.space is None or samples.space == "CMYK":
            return _without_profile(samples), None
        return _through_space(_as_rgb(samples), picture.space), None
    profile = _littlecms_profile(icc)
    if profile is None:
        return _without_profile(samples), BROKEN_PROFILE
    space = profile.profile.xcolor_space.strip()
    if space == "RGB" and is_srgb(icc):
        return _without_profile(samples), None
    if space == "RGB" and samples.space == "GRAY":  # a gray photograph with its camera's colour profile
        samples = Samples(_as_rgb(samples), "RGB")
    if space != samples.space:
        note = f"its colour profile is for {space} and not for {samples.space}, and was ignored"
        return _without_profile(samples), note
    if samples.color.dtype == np.uint16:
        known = read_profile(icc)
        if known is not None:
            deep: NDArray[np.uint16] = _as_rgb(samples) if space == "GRAY" else samples.color
            return known.to_srgb(deep), None
        samples = Samples(to_eight_bits(samples.color), space)
        converted = _by_littlecms(samples, profile)
        return _or_broken(converted, samples, EIGHT_BITS)
    return _or_broken(_by_littlecms(samples, profile), samples, None)


def profile_of_result(icc: bytes | None) -> bytes | None:
    """Return the ICC profile for the converted picture of a file with this one: its own if that is sRGB; or None."""
    profile = None if icc is None else _littlecms_profile(icc)
    if icc is None or profile is None:
        return None
    space = profile.profile.xcolor_space.strip()
    if space == "RGB" and is_srgb(icc):
        return icc
    return made_srgb_profile()


@functools.cache
def made_srgb_profile() -> bytes:
    """Return littlecms' profile of sRGB, the same bytes on every day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])  # its date (ICC.1:2022, 7.2.8): 2000-01-01
    return bytes(profile)


def _or_broken(rgb: NDArray[Any] | None, samples: Samples, note: str | None) -> tuple[NDArray[Any], str | None]:
    return (_without_profile(samples), BROKEN_PROFILE) if rgb is None else (rgb, note)


def _littlecms_profile(icc: bytes) -> ImageCms.ImageCmsProfile | None:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except Exception:  # littlecms meets hostile bytes with several exceptions
        return None


def _as_rgb(samples: Samples) -> NDArray[Any]:
    """Return [H, W, 3] of gray or RGB."""
    return np.repeat(samples.color, 3, axis=-1) if samples.space == "GRAY" else samples.color


def _without_profile(samples: Samples) -> NDArray[Any]:
    """Return [H, W, 3] of samples that are sRGB already; of CMYK what its inks leave of the light."""
    if samples.space != "CMYK":
        return np.ascontiguousarray(_as_rgb(samples))
    white = np.iinfo(samples.color.dtype).max
    rgb = np.empty((*samples.color.shape[:2], 3), samples.color.dtype)
    for rows in _strips(samples.color):
        light = white - samples.color[rows].astype(np.uint32)
        rgb[rows] = (light[..., :3] * light[..., 3:] + white // 2) // white
    return rgb


def _through_space(rgb: NDArray[Any], space: CurvesProfile) -> NDArray[Any]:
    if rgb.dtype == np.uint16:
        return space.to_srgb(rgb)
    converted = np.empty_like(rgb)
    for rows in _strips(rgb):
        converted[rows] = to_eight_bits(space.to_srgb(rgb[rows].astype(np.uint16) * 257))
    return converted


def _by_littlecms(samples: Samples, profile: ImageCms.ImageCmsProfile) -> NDArray[np.uint8] | None:
    """Return uint8 [H, W, 3]; None when the profile breaks in use. Strip by strip, to let other threads go between."""
    mode = {"GRAY": "L"}.get(samples.space, samples.space)
    try:
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        rgb = np.empty((*samples.color.shape[:2], 3), np.uint8)
        for rows in _strips(samples.color):
            strip = np.ascontiguousarray(samples.color[rows])
            image = Image.fromarray(strip[..., 0] if mode == "L" else strip, mode)
            converted = ImageCms.applyTransform(image, transform)
            if converted is None:
                return None
            rgb[rows] = np.asarray(converted)
    except ImageCms.PyCMSError:
        return None
    return rgb


def _strips(pixels: NDArray[np.generic]) -> list[slice]:
    """Return the rows of [H, W, ...] in slices of a bounded number of pixels."""
    height, width = pixels.shape[:2]
    rows = max(1, _STRIP_PIXELS // width)
    return [slice(top, top + rows) for top in range(0, height, rows)]
