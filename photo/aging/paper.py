"""What happens to a print: fading, toning, stains, scratches, dust, torn corners, borders.

Effects on gray are as in `photo.aging.negative`. Those that hide a part of the photograph give, besides, where.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.aging.negative import Gray

_SUBPIXEL_BITS = 4  # OpenCV draws at this many bits below a pixel


def fading(gray: Gray, draws: np.random.Generator) -> Gray:
    """Blacks turn gray and whites dull, from the edges inwards more than in the middle."""
    black, white = draws.uniform(0.02, 0.4), draws.uniform(0.7, 1.0)
    faded = np.float32(black) + gray * np.float32(white - black)
    share = draws.uniform(0.3, 1.0) + draws.uniform(0.0, 0.7) * _from_center(gray.shape)
    return np.asarray(gray + np.clip(share, 0.0, 1.0) * (faded - gray), np.float32)


def toning(gray: Gray, draws: np.random.Generator) -> Gray:
    """What sepia, selenium or bleach leave when their colour is taken away: middle tones that moved, unevenly."""
    strength, uneven = draws.uniform(-0.9, 0.9), np.float32(0.4) + np.float32(0.6) * _smooth_field(gray.shape, draws)
    return gray + np.float32(strength) * uneven * gray * (1 - gray)


def stains(gray: Gray, draws: np.random.Generator) -> Gray:
    """Up to three blots with soft insides and, as dried water leaves them, darker rims."""
    side = gray.shape[0]
    for _ in range(draws.integers(1, 4)):
        blot = np.zeros(gray.shape, np.float32)
        center, axes = draws.uniform(0.0, 1.0, 2) * side, draws.uniform(0.05, 0.3, 2) * side
        _fill(blot, _blob(center, axes, draws))
        soft = cv2.GaussianBlur(blot, (0, 0), draws.uniform(0.006, 0.03) * side)
        darker = draws.uniform(-0.15, 0.35) * soft + draws.uniform(0.0, 0.35) * 4 * soft * (1 - soft)
        gray = gray * (1 - darker.astype(np.float32))
    return gray


def scratches(gray: Gray, draws: np.random.Generator) -> Gray:
    """Up to six thin lines, nearly straight, of the film's own direction or any; light or dark."""
    side = gray.shape[0]
    along = draws.uniform(0, np.pi)
    layer, value = np.zeros(gray.shape, np.float32), _light_or_dark(draws)
    for _ in range(draws.integers(1, 7)):
        angle = along + draws.normal(0, 0.1 if draws.random() < 0.7 else 1.0)
        start, length = draws.uniform(0, side, 2), draws.uniform(0.1, 1.2) * side
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        middle = (start + end) / 2 + draws.normal(0, 0.02 * side, 2)
        line = np.stack([start, middle, end])
        _draw(layer, line, strength=draws.uniform(0.3, 1.0), thickness=_pixels(draws.uniform(0.002, 0.012) * side))
    return gray + layer * (value - gray)


def dust(gray: Gray, draws: np.random.Generator) -> Gray:
    """Specks, up to sixty, and a few hairs; light where they lay on the negative, else dark."""
    side = gray.shape[0]
    layer, value = np.zeros(gray.shape, np.float32), _light_or_dark(draws)
    for _ in range(draws.integers(5, 61)):
        speck = draws.uniform(0, side, 2)[None] + draws.normal(0, 0.003 * side, (2, 2))
        _draw(layer, speck, strength=draws.uniform(0.3, 1.0), thickness=_pixels(draws.exponential(0.006) * side))
    for _ in range(draws.integers(0, 4)):
        hair = draws.uniform(0, side, 2) + np.cumsum(draws.normal(0, 0.025 * side, (6, 2)), axis=0)
        _draw(layer, hair, strength=draws.uniform(0.3, 0.9), thickness=1)
    return gray + layer * (value - gray)


def torn_corners(gray: Gray, draws: np.random.Generator) -> tuple[Gray, NDArray[np.bool_]]:
    """One to three corners are gone, along a ragged edge with a white line of torn paper; and where they were."""
    side = gray.shape[0]
    gone, edge = np.zeros(gray.shape, np.float32), np.zeros(gray.shape, np.float32)
    for corner in draws.permutation(4)[: draws.integers(1, 4)]:
        along, down = draws.uniform(0.06, 0.3, 2) * side
        tear = np.linspace((along, 0.0), (0.0, down), 8)
        tear[1:-1] += draws.normal(0, 0.015 * side, (6, 2))
        outline = np.concatenate([[(-2.0, -2.0), (along, -2.0)], tear, [(-2.0, down)]])
        mirror = np.array([corner % 2, corner // 2])
        outline, tear = (np.where(mirror, side - 1 - points, points) for points in (outline, tear))
        _fill(gone, outline)
        _draw(edge, tear, strength=1.0, thickness=_pixels(0.015 * side))
    behind = np.float32(draws.choice([draws.uniform(0.0, 0.2), draws.uniform(0.8, 1.0)]))
    torn = gray + edge * (np.float32(0.92) - gray)
    return torn + gone * (behind - torn), gone > 0.5


def paper_border(gray: Gray, draws: np.random.Generator) -> tuple[Gray, NDArray[np.bool_]]:
    """A frame of white paper, or of black film, on two to four sides; and where it lies."""
    height, width = gray.shape
    widths = np.maximum(1, draws.uniform(0.02, 0.1, 4) * height).astype(int)
    widths[draws.permutation(4)[: draws.integers(0, 3)]] = 0
    border = np.ones(gray.shape, np.float32)
    top, bottom, left, right = widths
    border[top : height - bottom, left : width - right] = 0
    framed = draws.uniform(0.8, 1.0) if draws.random() < 0.7 else draws.uniform(0.0, 0.15)
    uneven = np.float32(framed) + np.float32(0.04) * (_smooth_field(gray.shape, draws) - np.float32(0.5))
    soft = cv2.GaussianBlur(border, (0, 0), draws.uniform(0.2, 0.8))
    return gray + soft * (uneven - gray), border > 0


def _from_center(shape: tuple[int, ...]) -> Gray:
    """The squared distance from the middle: 0 there, 1 in the middle of a side."""
    down, across = (np.square(np.linspace(-1, 1, length, dtype=np.float32)) for length in shape)
    return down[:, None] + across[None]


def _smooth_field(shape: tuple[int, ...], draws: np.random.Generator) -> Gray:
    """A field of 0..1 that changes slowly over the photograph."""
    coarse = draws.random((4, 4), np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def _light_or_dark(draws: np.random.Generator) -> np.float32:
    return np.float32(draws.uniform(0.8, 1.0) if draws.random() < 0.65 else draws.uniform(0.0, 0.2))


def _blob(center: NDArray[np.float64], axes: NDArray[np.float64], draws: np.random.Generator) -> NDArray[np.float64]:
    """The outline of an uneven ellipse, [24, 2]."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    uneven = 1 + 0.12 * np.sin(2 * angles + draws.uniform(0, 6)) + 0.12 * np.sin(3 * angles + draws.uniform(0, 6))
    return np.asarray(center + axes * uneven[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1))


def _pixels(thickness: float) -> int:
    return max(1, round(thickness))


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _fill(layer: Gray, outline: NDArray[np.float64]) -> None:
    cv2.fillPoly(layer, [_fixed_point(outline)], 1.0, shift=_SUBPIXEL_BITS)


def _draw(layer: Gray, points: NDArray[np.float64], *, strength: float, thickness: int) -> None:
    cv2.polylines(layer, [_fixed_point(points)], False, strength, thickness, shift=_SUBPIXEL_BITS)
