"""Colours of one photograph carried over to another: by alike gray alone (Welsh et al. 2002), or by alike colours."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.color import GRAY_COLORFULNESS, colorfulness, rgb_to_lab
from photo.decoding import decode_photo
from photo.errors import PhotoError
from photo.geometry import resize
from photo.reference_text import reference_bytes

# Welsh et al.: about 200 samples are enough.
_SAMPLES_ACROSS = 14
_WINDOW = 5
# Of what carries colours over to colours: how far two places may be apart in lightness, detail and colour to count
# as alike, in CIE units; and the share of the reference's colour in the result.
_ALIKE = np.array([25.0, 10.0, 14.0, 14.0], np.float32)
_SHARE = np.float32(0.85)
# The reference is reduced to this side first: more is not seen by its samples.
_LONGEST_SIDE = 512
_LEAST_SPREAD = 1e-3
# Rows of distances at once, [pixels, samples], so that a large picture needs little memory.
_PIXELS_AT_ONCE = 16_384


@dataclass(frozen=True)
class ReferenceColors:
    """What a photograph looks like at some 200 places.

    Attributes:
        samples: float32 [n, 4]: L*, the standard deviation of L* in the window around, a*, b*.
    """

    samples: NDArray[np.float32]

    @property
    def mean(self) -> float:
        """Of L*."""
        return float(self.samples[:, 0].mean())

    @property
    def spread(self) -> float:
        """The standard deviation of L*."""
        return float(self.samples[:, 0].std())

    def text(self) -> str:
        """Return it as about a thousand letters and digits, from which `parse_reference` makes it again, rounded."""
        rounded = np.rint(self.samples * _STEPS + _ZEROS).clip(0, 255).astype(np.uint8)
        return base64.urlsafe_b64encode(rounded.tobytes()).decode()


# Bytes for L* 0..100, for its deviation up to 60, for a* and b* of -127..127.
_STEPS = np.array([2.55, 4.25, 1.0, 1.0], np.float32)
_ZEROS = np.array([0, 0, 128, 128], np.float32)


def parse_reference(text: str) -> ReferenceColors:
    """Read what `ReferenceColors.text` wrote.

    Raises:
        ValueError: it is something else.
    """
    values = np.frombuffer(reference_bytes(text), np.uint8).reshape(-1, 4)
    return ReferenceColors((values.astype(np.float32) - _ZEROS) / _STEPS)


def reference_of(rgb: NDArray[Any]) -> ReferenceColors:
    """Return the colours of a photograph, sRGB [H, W, 3].

    Raises:
        ValueError: it has none.
    """
    height, width = rgb.shape[:2]
    factor = min(1.0, _LONGEST_SIDE / max(height, width))
    small = resize(rgb, max(1, round(factor * height)), max(1, round(factor * width)))
    if colorfulness(small) < GRAY_COLORFULNESS:
        raise ValueError("reference: the photograph is gray, it has no colours to lend")
    return reference_colors(rgb_to_lab(small))


def reference_of_file(name: str) -> str:
    """Return the colours of a photograph's file as text; "" has none.

    Raises:
        ValueError: it cannot be read, or is gray.
    """
    if not name:
        return ""
    try:
        return reference_of(decode_photo(Path(name).read_bytes()).rgb).text()
    except OSError as error:
        raise ValueError(f"reference: {name} cannot be read: {error.strerror}") from error
    except PhotoError as error:
        raise ValueError(f"reference: {name}: {error}") from error


def reference_colors(lab: NDArray[np.float32], *, seed: int = 0) -> ReferenceColors:
    """Take samples of a photograph: one of each cell of a grid, at a place drawn within the cell.

    Args:
        lab: L*, a*, b*, [H, W, 3] in CIE units.
        seed: of the draw; the same samples each time.
    """
    height, width = lab.shape[:2]
    rng = np.random.default_rng(seed)
    cells = np.stack(np.meshgrid(*[np.arange(_SAMPLES_ACROSS)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    places = (cells + rng.random(cells.shape)) * [height / _SAMPLES_ACROSS, width / _SAMPLES_ACROSS]
    rows, columns = places.astype(int).T
    lightness = np.ascontiguousarray(lab[..., 0], np.float32)
    deviation = _deviation(lightness)
    samples = np.column_stack([lightness[rows, columns], deviation[rows, columns], lab[rows, columns, 1:]])
    return ReferenceColors(samples.astype(np.float32))


def transfer_colors(lightness: NDArray[np.float32], reference: ReferenceColors) -> NDArray[np.float32]:
    """Give each pixel the colour of the sample that is most like it in gray.

    As Welsh, Ashikhmin and Mueller, "Transferring Color to Greyscale Images" (2002): the reference's lightness is
    brought to the mean and the spread of this photograph's, then the nearest sample in lightness and deviation, both
    counting one half, lends its colour.

    Args:
        lightness: L*, [H, W], 0..100.
        reference: of another photograph.

    Returns:
        a*b*, float32 [H, W, 2].
    """
    lightness = np.ascontiguousarray(lightness, np.float32)
    light, deviation = _at_home(reference, lightness)[:, :2].T
    mine = np.column_stack([lightness.ravel(), _deviation(lightness).ravel()])
    nearest = np.empty(len(mine), np.intp)
    for start in range(0, len(mine), _PIXELS_AT_ONCE):
        part = mine[start : start + _PIXELS_AT_ONCE]
        distances = np.square(part[:, :1] - light) + np.square(part[:, 1:] - deviation)
        nearest[start : start + _PIXELS_AT_ONCE] = distances.argmin(axis=1)
    return reference.samples[nearest, 2:].reshape(*lightness.shape, 2)


def in_colors_of(
    lightness: NDArray[np.float32], ab: NDArray[np.float32], reference: ReferenceColors
) -> NDArray[np.float32]:
    """Move colours towards those that a reference has for alike places: its greens for greens, its skies for skies.

    Each place takes the mean of the samples' colours, weighted by how alike they are in lightness (brought to this
    photograph's mean and spread), detail and colour; a fraction of its own colour stays.

    Args:
        lightness: L*, float32 [H, W], 0..100.
        ab: a*b* that were found, float32 [H, W, 2].
        reference: of another photograph.

    Returns:
        a*b*, float32 [H, W, 2].
    """
    samples = _at_home(reference, lightness)
    light = np.ascontiguousarray(lightness, np.float32)
    mine = np.concatenate([light[..., None], _deviation(light)[..., None], ab], axis=-1).reshape(-1, 4) / _ALIKE
    theirs = samples / _ALIKE
    moved = np.empty((len(mine), 2), np.float32)
    for start in range(0, len(mine), _PIXELS_AT_ONCE):
        part = mine[start : start + _PIXELS_AT_ONCE]
        distances = np.square(part).sum(axis=1)[:, None] - 2 * part @ theirs.T + np.square(theirs).sum(axis=1)
        distances -= distances.min(axis=1, keepdims=True)  # however far the nearest is
        weights = np.exp(-distances / 2)
        moved[start : start + _PIXELS_AT_ONCE] = weights @ samples[:, 2:] / weights.sum(axis=1, keepdims=True)
    blended: NDArray[np.float32] = ab + _SHARE * (moved.reshape(ab.shape) - ab)
    return blended


def _at_home(reference: ReferenceColors, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the samples with their lightness and detail brought to the mean and the spread of a photograph's."""
    stretch = float(lightness.std()) / max(reference.spread, _LEAST_SPREAD)
    samples = reference.samples.copy()
    samples[:, 0] = (samples[:, 0] - reference.mean) * stretch + float(lightness.mean())
    samples[:, 1] *= stretch
    return samples


def _deviation(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """The standard deviation of L* in the window around each pixel."""
    window = (_WINDOW, _WINDOW)
    mean = cv2.blur(lightness, window)
    return np.sqrt(np.maximum(cv2.blur(np.square(lightness), window) - np.square(mean), 0.0))
