"""Shows a model's colours as a palette says: the arithmetic of looks, of warmth and of saturation."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photo.palette import Look, Palette
from photo.reference_colors import in_colors_of, parse_reference

# The colour that gray takes under light of 4000 K in place of 6500 K, for an eye that does not adapt to it, at L* 100,
# brought down to what pleases; it falls with the lightness, as a* and b* of one chromaticity do.
_WARM_WHITE = (2.4, 17.7)


class _Band(NamedTuple):
    """What a look does to colours around a hue: `gain` of their chroma, `turn` of their hue, in degrees."""

    hue: float
    gain: float = 1.0
    turn: float = 0.0


class _Rendering(NamedTuple):
    """How a look is made.

    Attributes:
        gain: factor on the chroma of vivid colours.
        lift: added to it for pale ones; half of it at a chroma of 28.
        bands: of hues, each about a sixth of the circle wide.
        shadows, highlights: a* and b* that gray takes near black and near white, and between them in between.
    """

    gain: float = 1.0
    lift: float = 0.0
    bands: tuple[_Band, ...] = ()
    shadows: tuple[float, float] = (0.0, 0.0)
    highlights: tuple[float, float] = (0.0, 0.0)


_RED, _ORANGE, _YELLOW, _GREEN, _CYAN, _BLUE, _VIOLET = 25.0, 55.0, 90.0, 140.0, 200.0, 265.0, 310.0
_LIFTED_CHROMA = 40.0
# Of a band: exp(k (cos(angle) - 1)) is one half 30 degrees away.
_NARROWNESS = math.log(2) / (1 - math.cos(math.radians(30)))
_DARK = 20.0  # under this L* casts go out: there is no colour in black

_RENDERINGS = {
    Look.VIVID: _Rendering(gain=1.2, lift=0.35, bands=(_Band(_ORANGE, 0.85),)),
    Look.FADED: _Rendering(
        gain=0.62,
        bands=(_Band(_BLUE, 0.55, -12), _Band(_CYAN, 0.55), _Band(_GREEN, 0.75, -14), _Band(_RED, 1.15, 4)),
        shadows=(5.0, 3.0),
        highlights=(1.5, 10.0),
    ),
    Look.KODACHROME: _Rendering(
        gain=1.12,
        lift=0.15,
        bands=(
            _Band(_RED, 1.15),
            _Band(_ORANGE, 0.88),
            _Band(_YELLOW, 1.15, -4),
            _Band(_BLUE, 1.12, -8),
            _Band(_GREEN, 0.88, 6),
        ),
        shadows=(0.5, -3.5),
        highlights=(0.5, 4.0),
    ),
    Look.AUTOCHROME: _Rendering(
        gain=0.72,
        lift=0.2,
        bands=(_Band(_RED, 1.1, 12), _Band(_GREEN, 0.8, -8), _Band(_BLUE, 0.8, -14), _Band(_VIOLET, 1.15)),
        shadows=(1.5, 2.5),
        highlights=(2.0, 8.0),
    ),
    Look.COOL: _Rendering(
        gain=0.92,
        bands=(_Band(_ORANGE, 0.85), _Band(_YELLOW, 0.8), _Band(_BLUE, 1.1)),
        shadows=(-0.5, -7.0),
        highlights=(-1.5, -5.0),
    ),
}


def in_palette(lightness: NDArray[np.float32], ab: NDArray[np.float32], palette: Palette) -> NDArray[np.float32]:
    """Return colours as a palette shows them.

    The saturation comes first, then the reference, the look, the light, and the strength of it all last: 0 is gray.

    Args:
        lightness: L*, float32 [H, W], 0..100.
        ab: the model's a*b*, float32 [H, W, 2], CIE units.
        palette: which; one that changes nothing returns the very same numbers.
    """
    shown = ab if palette.saturation == 1 else np.float32(palette.saturation) * ab
    if palette.reference:
        shown = in_colors_of(lightness, shown, parse_reference(palette.reference))
    if palette.look in _RENDERINGS:
        shown = _rendered(lightness, shown, _RENDERINGS[palette.look])
    if palette.warmth:
        # a* and b* of a gray with another chromaticity grow with L* + 16, the cube root of its luminance.
        share = np.float32(palette.warmth / 116) * (lightness[..., None] + np.float32(16))
        shown = shown + share * np.array(_WARM_WHITE, np.float32) * _not_in_black(lightness)
    return shown if palette.strength == 1 else np.float32(palette.strength) * shown


def _rendered(lightness: NDArray[np.float32], ab: NDArray[np.float32], look: _Rendering) -> NDArray[np.float32]:
    chroma = np.hypot(ab[..., 0], ab[..., 1])
    hue = np.arctan2(ab[..., 1], ab[..., 0])
    gain = look.gain + np.float32(look.lift) * np.exp(-chroma / np.float32(_LIFTED_CHROMA))
    turn = np.zeros_like(hue)
    for band in look.bands:
        near = np.exp(np.float32(_NARROWNESS) * (np.cos(hue - np.float32(math.radians(band.hue))) - 1))
        gain = gain * (1 + np.float32(band.gain - 1) * near)
        turn += np.float32(math.radians(band.turn)) * near
    turned = np.stack([np.cos(hue + turn), np.sin(hue + turn)], axis=-1) * (gain * chroma)[..., None]
    light = lightness[..., None] / np.float32(100)
    cast = (1 - light) * np.array(look.shadows, np.float32) + light * np.array(look.highlights, np.float32)
    rendered: NDArray[np.float32] = turned + cast * _not_in_black(lightness)
    return rendered


def _not_in_black(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a factor that goes to 0 towards black, [H, W, 1]."""
    factor: NDArray[np.float32] = np.clip(lightness[..., None] / np.float32(_DARK), 0, 1)
    return factor
