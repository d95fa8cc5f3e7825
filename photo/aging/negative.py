"""What happens to gray in the camera and in the darkroom: plates, halation, blur, contrast, grain.

Every effect takes gray, float32 [H, W], the value of neutral sRGB in 0..1, and draws its strength; what it returns may
lie a little outside 0..1. Lengths follow the photograph's side, so that an effect looks alike at every size.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.color import gray_of_mix

Gray = NDArray[np.float32]


def plate_gray(rgb: NDArray[np.uint8], draws: np.random.Generator) -> Gray:
    """The gray of an emulsion that does not see all colours: a mix of linear red, green and blue.

    Three kinds, one in three each: plates that see blue alone (before about 1880; lips and foliage are dark, skies
    white), orthochromatic ones, blind to red (until the 1920s), and any mix (panchromatic film behind a filter). The
    exposure makes up for a part of the light that is lost, as a photographer does.

    Args:
        rgb: sRGB, uint8 [H, W, 3].
        draws: decides.
    """
    match draws.integers(3):
        case 0:
            red, green = draws.uniform(0.0, 0.03), draws.uniform(0.0, 0.25)
        case 1:
            red = draws.uniform(0.0, 0.1)
            green = draws.uniform(0.3, 0.7) * (1 - red)
        case _:
            red, green, _ = draws.dirichlet((1.0, 1.0, 1.0))
    mix = np.array([red, green, 1 - red - green])
    sample = np.ascontiguousarray(rgb[::4, ::4])
    lost = max(float(gray_of_mix(sample).mean()), 1e-3) / max(float(gray_of_mix(sample, _weights(mix)).mean()), 1e-3)
    exposure = np.clip(lost, 0.5, 2.0) ** (2.2 * draws.uniform(0.3, 1.0))
    return gray_of_mix(rgb, _weights(mix * exposure))


def halation(gray: Gray, draws: np.random.Generator) -> Gray:
    """A glow around highlights: light that the back of the plate reflects into the emulsion."""
    highlights = np.maximum(gray - draws.uniform(0.6, 0.85), 0.0)
    glow = _blurred(highlights, draws.uniform(0.015, 0.06) * gray.shape[0]) * draws.uniform(1.5, 4.0)
    return np.asarray(1.0 - (1.0 - gray) * (1.0 - np.minimum(glow, 1.0)), np.float32)


def blur(gray: Gray, draws: np.random.Generator) -> Gray:
    """A lens out of focus or a long exposure: a Gaussian, its deviations across and down drawn apart."""
    across, down = draws.uniform(0.002, 0.012, 2) * gray.shape[0]
    return _blurred(gray, across, down)


def contrast(gray: Gray, draws: np.random.Generator) -> Gray:
    """A hard or, more often, a soft negative, over- or underexposed."""
    factor, pivot = draws.uniform(0.4, 1.3), draws.uniform(0.3, 0.7)
    exposed = cv2.pow(gray, float(np.exp(draws.uniform(-0.5, 0.5))))
    return np.asarray((exposed - np.float32(pivot)) * np.float32(factor) + np.float32(pivot))


def grain(gray: Gray, draws: np.random.Generator) -> Gray:
    """Clumps of silver: noise, coarse or fine, strongest in the middle tones."""
    noise = draws.standard_normal(gray.shape, np.float32)
    coarseness = draws.uniform(0.0, 0.008) * gray.shape[0]
    if coarseness > 0.3:
        noise = _blurred(noise, coarseness)
        noise /= max(float(noise.std()), 1e-6)
    strength = np.float32(draws.uniform(0.01, 0.06))
    return gray + noise * strength * (np.float32(0.3) + np.float32(2.8) * gray * (1 - gray))


def _weights(mix: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = mix.tolist()
    return red, green, blue


def _blurred(image: Gray, across: float, down: float = 0.0) -> Gray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(across, 0.1), sigmaY=down, borderType=cv2.BORDER_REFLECT_101))
